"""What a receiver says of itself, at `/readyz` of its admin port."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

TIMEOUT = 10.0
READY = 200


class AdminPorts:
    """All that were named must be ready. Asked over HTTP, without a proxy. Needs the extra `client`, when called."""

    def __init__(self, urls: Sequence[str], verify: ssl.SSLContext | None = None) -> None:
        self._urls = [f"{url.rstrip('/')}/readyz" for url in dict.fromkeys(urls)]
        self._verify = verify

    async def __call__(self) -> bool:
        """False also for one that does not answer."""
        import httpx

        trusted = self._verify if self._verify is not None else True
        async with httpx.AsyncClient(verify=trusted, timeout=TIMEOUT, trust_env=False) as client:
            for url in self._urls:
                try:
                    if (await client.head(url)).status_code != READY:
                        return False
                except (httpx.HTTPError, httpx.InvalidURL):
                    return False
        return True
