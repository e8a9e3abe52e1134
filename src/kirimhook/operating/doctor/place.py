"""Where a URL leads, for one who dials it by hand."""

from __future__ import annotations

from ipaddress import ip_address
from typing import NamedTuple, Self
from urllib.parse import quote, urlsplit

_PORTS = {"http": 80, "https": 443}
_KEPT_IN_PATH = "!$%&'()*+,-./:;=?@_~[]"


class Place(NamedTuple):
    """`host` is a name in ASCII or a plain address, `path` what the request line says, with the query."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def of(cls, url: str) -> Self:
        """Raises ValueError, saying why, for what is no http or https URL that could be dialled."""
        if not url.isprintable() or " " in url:
            raise ValueError("it holds blanks or control characters")
        parts = urlsplit(url)
        port = parts.port
        if parts.scheme not in _PORTS or not parts.hostname or port == 0:
            raise ValueError("write http://… or https://…")
        if parts.username is not None or parts.password is not None or parts.fragment:
            raise ValueError("it holds credentials or a fragment, which are never sent")
        path = quote(parts.path or "/", safe=_KEPT_IN_PATH)
        query = f"?{quote(parts.query, safe=_KEPT_IN_PATH)}" if parts.query else ""
        return cls(parts.scheme, _ascii(parts.hostname), port or _PORTS[parts.scheme], path + query)

    @property
    def is_address(self) -> bool:
        """The host is an address, not a name."""
        try:
            ip_address(self.host)
        except ValueError:
            return False
        return True

    @property
    def authority(self) -> str:
        """As the Host header says it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def _ascii(host: str) -> str:
    try:
        return host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        raise ValueError("its host is no domain name") from None
