"""Whom `--notify` names: a program, or a URL."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from kirimhook.telling.port import TIMEOUT, NotToldError, Teller

_JSON = {"Content-Type": "application/json"}


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
                await process.communicate(_written(document) + b"\n")
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

    A redirect is no 2xx. A user and a password in it are sent as Basic. Needs httpx, which the extra
    "cli" brings. Raises ValueError for what cannot be posted to.
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
        import httpx

        try:
            async with (
                asyncio.timeout(TIMEOUT),
                httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as client,
                client.stream("POST", self.url, content=_written(document), headers=_JSON) as answer,
            ):
                status = answer.status_code  # what follows its head is not read
        except (TimeoutError, httpx.TimeoutException):
            raise NotToldError(f"no answer within {TIMEOUT:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NotToldError(f"{type(error).__name__}: {_on_one_line(error)}") from None
        if not 200 <= status <= 299:
            raise NotToldError(f"answered {status}")


def _written(document: Mapping[str, Any]) -> bytes:
    """ASCII: half a character, which any JSON string can hold, has no UTF-8."""
    return json.dumps(document).encode()


def _on_one_line(error: Exception) -> str:
    return " ".join(str(error).split())
