"""What receivers say of their secrets, at `/status` of their admin ports."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self
from urllib.parse import urlsplit

import httpx

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Mapping, Sequence

ANSWER_TIMEOUT = 10.0
_MOST = 8 * 1024 * 1024


class Use(NamedTuple):
    """How often a secret has verified a delivery, and when it did last, by the receiver's clock."""

    matches: int
    last: float | None


NEVER = Use(0, None)


class Look(NamedTuple):
    """One receiver at one moment."""

    name: str
    """Its admin port, without what else its URL says."""
    problem: str | None = None
    """Why it cannot be taken at its word now."""
    processes: int = 0
    everywhere: frozenset[str] = frozenset()
    """Fingerprints of the secrets that every process has."""
    anywhere: frozenset[str] = frozenset()
    """… that some process has."""
    uses: Mapping[str, Use] = {}
    """By fingerprint, of all processes together."""

    def use(self, fingerprint: str) -> Use:
        return self.uses.get(fingerprint, NEVER)


class Receivers(Protocol):
    """All that were named."""

    async def look(self) -> list[Look]:
        """At each of them; never raises for one that does not answer."""
        ...


class AdminPorts:
    """Asked over HTTP, without a proxy. Use it as a context manager."""

    def __init__(self, urls: Sequence[str], verify: ssl.SSLContext | None = None) -> None:
        self._urls = [url.rstrip("/") for url in dict.fromkeys(urls)]
        self._client = httpx.AsyncClient(
            verify=verify if verify is not None else True, timeout=ANSWER_TIMEOUT, trust_env=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def look(self) -> list[Look]:
        return list(await asyncio.gather(*(self._look(url) for url in self._urls)))

    async def _look(self, url: str) -> Look:
        name = _shown(url)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                return read(name, await self._status(url))
        except httpx.HTTPStatusError as error:  # whose words would show the password of a URL
            return Look(name, f"it answered {error.response.status_code}")
        except (httpx.TransportError, TimeoutError) as error:
            return Look(name, f"it cannot be asked: {str(error) or type(error).__name__}")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Look(name, f"it cannot be asked: {type(error).__name__}")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return Look(name, "it is not the admin port of a receiver")

    async def _status(self, url: str) -> dict[str, Any]:
        content = bytearray()
        async with self._client.stream("GET", f"{url}/status") as answer:
            answer.raise_for_status()
            async for part in answer.aiter_bytes():
                content += part
                if len(content) > _MOST:
                    raise ValueError("too much")
        found: dict[str, Any] = json.loads(content)
        return found


def read(name: str, status: Mapping[str, Any]) -> Look:
    """What `/status` says. Raises KeyError, TypeError, ValueError or AttributeError for what no receiver says."""
    receiving = [process for process in status["processes"] if process["receives"]]
    lists = [frozenset(use["fingerprint"] for use in process["secrets"]) for process in receiving]
    return Look(
        name,
        _problem(status, receiving),
        len(receiving),
        frozenset.intersection(*lists) if lists else frozenset(),
        frozenset[str]().union(*lists),
        {str(use["fingerprint"]): Use(int(use["matches"]), use["last_matched_at"]) for use in status["secrets"]},
    )


def _problem(status: Mapping[str, Any], receiving: Sequence[Mapping[str, Any]]) -> str | None:
    there, expected, silent = len(status["processes"]), int(status["expected_processes"]), status["silent_processes"]
    if there and not receiving:
        return "it receives nothing: it only works"
    if there != expected:
        return f"{there} of {expected} processes are there"
    if silent:
        return f"{silent} of {expected} processes do not answer"
    return next((f"it does not follow its list: {problem}" for problem in _problems(receiving)), None)


def _problems(receiving: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    return (str(process["secrets_problem"]) for process in receiving if process["secrets_problem"])


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
