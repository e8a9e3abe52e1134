"""The sender's API, as a command calls it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple, Self

import aiohttp

from kirimhook.cli.addressed import checked_url, trust
from kirimhook.cli.failure import Failure, misuse
from kirimhook.contract import errors

SECONDS = 30.0
JSON = {"Content-Type": "application/json"}


class Posted(NamedTuple):
    """Body and headers of a publish."""

    body: bytes
    headers: dict[str, str]

    @classmethod
    def envelope(cls, event: dict[str, Any]) -> Self:
        return cls(json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"), JSON)

    @classmethod
    def as_it_is(cls, body: bytes, headers: dict[str, str]) -> Self:
        """Byte for byte."""
        return cls(body, {**JSON, **headers})


class Api:
    """One that listens at `url`, with or without /v1 at its end. Raises `Failure`."""

    def __init__(self, url: str, key: str, ca_bundle: Path | None = None) -> None:
        self._url = checked_url(url).rstrip("/").removesuffix("/v1")
        self._key = key.strip()
        if not self._key.isascii() or not self._key.isprintable():
            raise misuse("--key: an API key has no blanks and no letters but ASCII's")
        self._trust = trust(ca_bundle)

    async def publish(self, posted: Posted) -> dict[str, Any]:
        """The receipt."""
        return await self._post("/v1/events", posted)

    async def _post(self, path: str, posted: Posted) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        connector = aiohttp.TCPConnector(ssl=self._trust or True)
        headers = {**posted.headers, "Authorization": f"Bearer {self._key}"}
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, connector=connector) as session,
                session.post(self._url + path, data=posted.body, headers=headers, allow_redirects=False) as answer,
            ):
                return _data(answer.status, await answer.read(), self._url)
        except TimeoutError:
            raise Failure(f"{self._url} did not answer within {SECONDS:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Failure(f"{self._url} cannot be reached: {str(error) or type(error).__name__}") from None


def _data(status: int, body: bytes, url: str) -> dict[str, Any]:
    if status >= 300:
        error = errors.parse(status, body)
        where = f" ({error.param})" if error.param else ""
        raise Failure(f"refused with {status} {error.code}{where}: {error.message}")
    try:
        found = json.loads(body)["data"]
    except (ValueError, KeyError, TypeError):
        raise Failure(f"{url} is not the API of a sender: it answered {status} and something else") from None
    if not isinstance(found, dict):
        raise Failure(f"{url} is not the API of a sender: it answered {status} and something else")
    return found
