"""The places secrets come from: given once, the environment, a file, a function."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from kirimhook.receiver.secrets import listing
from kirimhook.receiver.secrets.listing import UnusableListError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from kirimhook.contract.signature import Secret

    Given = str | Sequence[str]
    Asked = Callable[[], Given] | Callable[[], Awaitable[Given]]

ENVIRONMENT_VARIABLE = "KIRIM_WEBHOOK_SECRETS"
NEVER = float("inf")
MAX_FILE_BYTES = 64 * 1024
SETTLED_AFTER = 2.0
"""Seconds a file must be left alone before its word that a secret is gone is taken."""


class Source(Protocol):
    """Where a list comes from. `interval` and `mismatch_interval` are seconds, or `NEVER`."""

    name: str
    interval: float
    """Between two reads."""
    mismatch_interval: float
    """The least between two reads that requests ask for."""

    async def read(self, known: tuple[Secret, ...], *, force: bool) -> tuple[Secret, ...] | None:
        """The list, or None where it did not change. Raises `UnusableListError`, or anything.

        `known` is the list in force. `force` reads even what did not change, and takes it at its word.
        """
        ...


class StaticSource:
    """Secrets given by the program."""

    name = "static"
    interval = NEVER
    mismatch_interval = NEVER

    async def read(self, known: tuple[Secret, ...], *, force: bool) -> None:  # noqa: ARG002  # the protocol's shape
        return None


class EnvironmentSource:
    """`KIRIM_WEBHOOK_SECRETS`, read again only when a refresh is forced."""

    name = ENVIRONMENT_VARIABLE
    interval = NEVER
    mismatch_interval = NEVER

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def now(self) -> tuple[Secret, ...]:
        return listing.from_text(self._environ.get(ENVIRONMENT_VARIABLE, ""))

    async def read(self, known: tuple[Secret, ...], *, force: bool) -> tuple[Secret, ...] | None:  # noqa: ARG002  # the protocol's shape
        return self.now() if force else None


class FileSource:
    """A file of one secret a line, read again when its stat changes and until it was left alone for a while.

    New secrets are taken at once. A known one that is missing stays until the file has not changed for
    `SETTLED_AFTER` seconds: a write that stops between two lines looks like a shorter list.
    """

    interval = 1.0
    mismatch_interval = 0.1

    def __init__(self, path: str | os.PathLike[str], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = Path(path)
        self._monotonic = monotonic
        self._stamp: tuple[int, ...] | None = None
        self._since = 0.0
        self._settled = False
        self.name = f"file {self._path}"

    async def read(self, known: tuple[Secret, ...], *, force: bool) -> tuple[Secret, ...] | None:
        return await asyncio.to_thread(self._read, known, force)

    def _read(self, known: tuple[Secret, ...], force: bool) -> tuple[Secret, ...] | None:
        try:
            if not self._needs_reading() and not force:
                return None
            with self._path.open("rb") as file:
                raw = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            self._stamp = None
            raise UnusableListError(f"it cannot be read: {error.strerror or type(error).__name__}") from None
        self._settled = force or self._monotonic() - self._since >= SETTLED_AFTER
        if len(raw) > MAX_FILE_BYTES:
            raise UnusableListError(f"it is larger than {MAX_FILE_BYTES} bytes")
        secrets = listing.from_file(raw, known)
        if self._settled:
            return secrets
        return (*secrets, *(secret for secret in known if secret not in secrets))

    def _needs_reading(self) -> bool:
        """Whether it changed, or changed so lately that the stat of a further write could be the same."""
        stat = self._path.stat()
        stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_dev)
        if stamp != self._stamp:
            self._stamp, self._since, self._settled = stamp, self._monotonic(), False
        return not self._settled


class CallableSource:
    """A function that gives the secrets: plain (called in a thread of its own) or async."""

    mismatch_interval = 5.0

    def __init__(self, ask: Asked, interval: float) -> None:
        self._ask = ask
        self._calling = False
        self.interval = interval
        self.name = f"callable {getattr(ask, '__qualname__', type(ask).__name__)}"

    async def read(self, known: tuple[Secret, ...], *, force: bool) -> tuple[Secret, ...]:  # noqa: ARG002  # the protocol's shape
        answer = await self._answer()
        if isinstance(answer, str):
            return listing.from_text(answer)
        if isinstance(answer, list | tuple) and all(isinstance(value, str) for value in answer):
            return listing.from_values(answer)
        raise UnusableListError(f"it gave {type(answer).__name__}, neither text nor a list of texts")

    async def _answer(self) -> object:
        if inspect.iscoroutinefunction(self._ask) or inspect.iscoroutinefunction(type(self._ask).__call__):
            return await self._ask()  # type: ignore[misc]  # just seen to be awaitable
        answer = await self._in_thread()
        return await answer if inspect.isawaitable(answer) else answer

    async def _in_thread(self) -> object:
        """Call it in a daemon thread: one that hangs holds up neither the next try nor the process's end."""
        if self._calling:
            raise UnusableListError("its last call has not come back")
        loop = asyncio.get_running_loop()
        result: asyncio.Future[object] = loop.create_future()
        self._calling = True
        threading.Thread(target=self._call, args=(loop, result), daemon=True).start()
        return await result

    def _call(self, loop: asyncio.AbstractEventLoop, result: asyncio.Future[object]) -> None:
        answer: object = None
        failure: Exception | None = None
        try:
            answer = self._ask()
        except Exception as error:  # its text could hold a secret
            failure = UnusableListError(f"it raised {type(error).__name__}")
        self._calling = False
        with contextlib.suppress(RuntimeError):  # the loop is gone, and whoever waited with it
            loop.call_soon_threadsafe(_settle, result, answer, failure)


def _settle(result: asyncio.Future[object], answer: object, failure: Exception | None) -> None:
    if result.done():
        return
    if failure is None:
        result.set_result(answer)
    else:
        result.set_exception(failure)
