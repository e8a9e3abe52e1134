"""Against forms sent from elsewhere: a token bound to the session, and where the browser says a request comes from.

After OWASP's "HMAC based token pattern" and the Fetch Metadata headers. Both are asked; neither replaces SameSite.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.requests import Request

FIELD = "csrf"
"""The name of the input that carries the token."""


class Tokens:
    """Makes and checks the tokens of one secret: HMAC-SHA256 of what the session is known by."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 16:
            raise ValueError("secret: at least 16 bytes")
        self._secret = secret

    def make(self, binding: str) -> str:
        """The token of a session: the same each time, so that a page told anew does not differ by it. 43 characters."""
        digest = hmac.digest(self._secret, b"kirimhook.csrf\0" + binding.encode(), hashlib.sha256)
        return urlsafe_b64encode(digest).decode().rstrip("=")

    def check(self, binding: str, token: str) -> bool:
        """Whether it was made for that session; in a time that does not depend on how much of it is right."""
        return hmac.compare_digest(self.make(binding).encode(), token.encode("utf-8", "surrogatepass"))


def same_origin(request: Request) -> bool:
    """Whether the browser says that the request comes from one of our own pages, or from nobody's.

    Sec-Fetch-Site decides where it is there; else the host and port of Origin, else of Referer, against Host (schemes
    are not compared: TLS may end before us). True where there is none of them: the token is asked in any case.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    said = request.headers.get("origin", request.headers.get("referer"))
    return said is None or _host(said) == _host(f"//{request.headers.get('host', '')}") != ("", 0)


def _host(url: str) -> tuple[str, int]:
    """Host and port; ("", 0) where there is none. The ports of http and https count as one."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "", 0
    return (parts.hostname or "", 443 if port in {None, 80, 443} else port or 0) if parts.hostname else ("", 0)
