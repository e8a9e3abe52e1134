"""Whom to tell: a command or a URL of the operator's own. Each is given one JSON document (`summary.document`).

Standard library only: the receiver tells as well, and has no dependency.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from ssl import create_default_context
from typing import Any, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

TIMEOUT = 30.0
"""Seconds for one telling."""
LEASE = 2 * TIMEOUT
"""Seconds in which nobody else tells what one process is telling: longer than a telling can take."""
LONGEST = 300.0
"""Seconds until what nobody took is told again, at most; they double from 1."""
MOST_HEADS = 10
"""Interim answers (1xx) before the one that counts."""
HEAD = 16 * 1024
"""Bytes: a longer line of an answer is refused."""


class NotToldError(Exception):
    """Nobody has taken it. The message says why, on one line."""


class Teller(Protocol):
    """Tells one document, or raises `NotToldError`."""

    async def tell(self, document: Mapping[str, Any]) -> None: ...


def again_in(failures: int) -> float:
    """Seconds until it is told again, after so many failures in a row before this one."""
    return min(2.0 ** min(failures, 16), LONGEST)


def teller_of(given: str) -> Teller:
    """Who `--notify` names: a URL, or a command as a shell would take it apart (no shell runs it).

    Raises ValueError, on one line, for what is neither.
    """
    if given.startswith(("http://", "https://")):
        return Url(given)
    try:
        words = shlex.split(given)
    except ValueError as error:
        raise ValueError(f"{given!r}: {error}") from None
    if not words:
        raise ValueError("a command, or a URL")
    return Command(tuple(words))


@dataclass(frozen=True, slots=True)
class Command:
    """A program, which gets the document as one line on its standard input, and exits with 0."""

    arguments: tuple[str, ...]

    async def tell(self, document: Mapping[str, Any]) -> None:
        try:
            process = await asyncio.create_subprocess_exec(*self.arguments, stdin=asyncio.subprocess.PIPE)
        except (OSError, ValueError) as error:
            raise NotToldError(f"not started: {error}") from None
        try:
            async with asyncio.timeout(TIMEOUT):
                await process.communicate(f"{json.dumps(document)}\n".encode())
        except TimeoutError:
            raise NotToldError(f"not done within {TIMEOUT:g} s") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode:
            raise NotToldError(f"exit code {process.returncode}")


@dataclass(frozen=True, slots=True)
class Url:
    """A URL, which is posted the document and answers 2xx. The operator's own: its address is not vetted.

    A redirect is no 2xx. A user and a password in it are sent as Basic. Raises ValueError for what cannot be posted to.
    """

    url: str = field(repr=False)
    """May hold a password: never shown."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        try:
            usable = parts.hostname is not None and parts.port != 0
        except ValueError:
            usable = False
        if not usable or any(not "!" <= character <= "~" for character in self.url):
            raise ValueError("the URL is none that can be posted to")

    async def tell(self, document: Mapping[str, Any]) -> None:
        try:
            async with asyncio.timeout(TIMEOUT):
                status = await _post(urlsplit(self.url), json.dumps(document).encode())
        except TimeoutError:
            raise NotToldError(f"no answer within {TIMEOUT:g} s") from None
        except (OSError, ValueError) as error:
            raise NotToldError(f"{type(error).__name__}: {error}") from None
        if not 200 <= status <= 299:
            raise NotToldError(f"answered {status}")


async def _post(url: SplitResult, body: bytes) -> int:
    """The status that was answered. What follows it is not read. Raises OSError, ValueError."""
    secure = url.scheme == "https"
    context = await asyncio.to_thread(create_default_context) if secure else None  # it reads many files
    reader, writer = await asyncio.open_connection(
        url.hostname, url.port or (443 if secure else 80), ssl=context, limit=HEAD
    )
    try:
        writer.write(_head(url, len(body)) + body)
        return await _status(reader)
    finally:
        writer.transport.abort()


def _head(url: SplitResult, length: int) -> bytes:
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {url.netloc.rpartition('@')[2]}",
        "Content-Type: application/json",
        f"Content-Length: {length}",
        "User-Agent: kirimhook",
        "Connection: close",
    ]
    if url.username is not None:
        said = f"{unquote(url.username)}:{unquote(url.password or '')}"
        lines.append(f"Authorization: Basic {b64encode(said.encode()).decode()}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


async def _status(reader: asyncio.StreamReader) -> int:
    """Of the first answer that is not an interim one."""
    for _ in range(MOST_HEADS):
        words = (await reader.readline()).split()
        if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
            raise ValueError("what was answered is no HTTP/1")
        status = int(words[1])
        if status >= 200:
            return status
        while (await reader.readline()).strip():
            pass
    raise ValueError("nothing but interim answers")
