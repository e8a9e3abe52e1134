"""The list of secrets in force, kept fresh while the receiver runs."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from kirimhook.contract.signature import Secret
from kirimhook.observe import Observer
from kirimhook.receiver.secrets.listing import UnusableListError
from kirimhook.receiver.secrets.sources import (
    NEVER,
    CallableSource,
    EnvironmentSource,
    FileSource,
    Source,
    StaticSource,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping

    from kirimhook.receiver.secrets.sources import Asked

READ_TIMEOUT = 30.0
"""Seconds a source has to answer."""
MISMATCH_WAIT = 2.0
"""Seconds a request waits for a fresh list. The provider gives it 10 in all."""
RETRY_WHILE_EMPTY = 5.0


class _Use:
    """When a secret last matched, and how often."""

    __slots__ = ("last", "matches")

    def __init__(self) -> None:
        self.last: float | None = None
        self.matches = 0


class Keyring:
    """The active secrets. The last good list stays in force whatever happens to its source.

    Use it from one event loop; `secrets` and `status` can be read from any thread.
    """

    def __init__(
        self,
        source: Source,
        secrets: tuple[Secret, ...] = (),
        *,
        observer: Observer | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._observer = observer or Observer()
        self._monotonic = monotonic
        self._secrets: tuple[Secret, ...] = secrets
        self._uses = {secret.fingerprint: _Use() for secret in secrets}
        self._problem: str | None = None
        self._asked = -NEVER
        self._reading: asyncio.Task[bool] | None = None
        self._polling: asyncio.Task[None] | None = None

    @classmethod
    def static(cls, *secrets: str | Secret) -> Keyring:
        """Secrets that never change. Raises ValueError for what cannot be one."""
        made = (secret if isinstance(secret, Secret) else Secret(secret) for secret in secrets)
        return cls(StaticSource(), tuple(dict.fromkeys(made)))

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], observer: Observer | None = None) -> Keyring:
        """`KIRIM_WEBHOOK_SECRETS`, separated by commas or newlines. A bad list is logged and not taken."""
        source = EnvironmentSource(environ)
        keyring = cls(source, observer=observer)
        try:
            keyring._adopt(source.now())
        except UnusableListError as error:
            keyring._keep(str(error))
        return keyring

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], observer: Observer | None = None) -> Keyring:
        """One secret a line, read again within a second of a change, and at once on a mismatch."""
        return cls(FileSource(path), observer=observer)

    @classmethod
    def from_callable(cls, ask: Asked, interval: float = 60.0, observer: Observer | None = None) -> Keyring:
        """What `ask()` gives: a text or a list of texts. Plain functions run in a thread.

        Asked every `interval` seconds, and on a mismatch, then at most every five seconds. Of an exception
        only the type is logged: its text could hold a secret.
        """
        return cls(CallableSource(ask, interval), observer=observer)

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The last good list; another tuple whenever it changes."""
        return self._secrets

    @property
    def problem(self) -> str | None:
        """Why the source is not being followed at present, or None."""
        return self._problem

    def matched(self, secrets: Iterable[Secret], now: float) -> None:
        """Note that a delivery verified with these, at `now` (unix seconds)."""
        for secret in secrets:
            use = self._uses.get(secret.fingerprint)
            if use is None:  # dropped from the list while the request was being verified
                continue
            use.matches += 1
            if use.last is None:
                self._observer.event("secret_first_match", fingerprint=secret.fingerprint)
            use.last = now

    def status(self) -> list[dict[str, Any]]:
        """Fingerprint, `last_matched_at` (unix seconds or None) and `matches` of each active secret."""
        uses = [(secret.fingerprint, self._uses.get(secret.fingerprint) or _Use()) for secret in self._secrets]
        return [
            {"fingerprint": fingerprint, "last_matched_at": use.last, "matches": use.matches}
            for fingerprint, use in uses
        ]

    async def start(self) -> None:
        """Read the source, then follow it. Never raises for a source that fails: see `problem`."""
        await self.refresh()
        if self._polling is None and self._source.interval != NEVER:
            self._polling = asyncio.create_task(self._poll())

    async def stop(self) -> None:
        """Follow the source no longer; the list stays."""
        tasks = [task for task in (self._polling, self._reading) if task is not None]
        self._polling = self._reading = None
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def refresh(self, force: bool = False) -> bool:
        """Read the source; whether the list changed. `force` (SIGHUP): as it stands, even if unchanged."""
        before = self._secrets
        while force and self._reading is not None and not self._reading.done():
            await asyncio.wait({self._reading})
        await asyncio.wait({self._read_once(force)})
        return self._secrets is not before

    async def refresh_on_mismatch(self) -> bool:
        """Read the source because a signature matched nothing; whether the list changed. Rate-limited."""
        before = self._secrets
        reading = self._reading
        if reading is None or reading.done():
            now = self._monotonic()
            if not now - self._asked >= self._source.mismatch_interval:
                return False
            self._asked = now
            reading = self._read_once(force=False)
        await asyncio.wait({reading}, timeout=MISMATCH_WAIT)
        return self._secrets is not before

    def _read_once(self, force: bool) -> asyncio.Task[bool]:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(force))
        return self._reading

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(
                self._source.interval if self._secrets else min(self._source.interval, RETRY_WHILE_EMPTY)
            )
            await self.refresh()

    async def _read(self, force: bool) -> bool:
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                found = await self._source.read(self._secrets, force=force)
        except UnusableListError as error:
            self._keep(str(error))
        except TimeoutError:
            self._keep("it took too long")
        except Exception as error:  # a user's function may raise anything
            self._keep(f"it raised {type(error).__name__}")
        else:
            return found is not None and self._adopt(found)
        return False

    def _keep(self, problem: str) -> None:
        if problem != self._problem:
            self._observer.event("secrets_kept", source=self._source.name, problem=problem, kept=len(self._secrets))
        self._problem = problem

    def _adopt(self, found: tuple[Secret, ...]) -> bool:
        self._problem = None
        if set(found) == set(self._secrets):
            return False
        added = [secret.fingerprint for secret in found if secret not in self._secrets]
        dropped = [secret.fingerprint for secret in self._secrets if secret not in found]
        self._uses = {secret.fingerprint: self._uses.get(secret.fingerprint) or _Use() for secret in found}
        self._secrets = found
        self._observer.event(
            "secrets_loaded",
            source=self._source.name,
            fingerprints=",".join(secret.fingerprint for secret in found),
            added=",".join(added),
            dropped=",".join(dropped),
        )
        return True
