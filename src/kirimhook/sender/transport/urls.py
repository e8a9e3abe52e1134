"""What a subscription's URL may be, and what it means once parsed. Contract sections 4 and 5."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import NamedTuple
from urllib.parse import quote

import idna

from kirimhook.sender.transport.addresses import Network, forbidden, forbidden_name

MAX_URL = 2048
"""Characters."""
HTTPS_PORT = 443
CHECK_SECONDS = 2.0
"""How long a check waits for a name to resolve; after that the name is accepted, and judged when it is dialled."""

Resolver = Callable[[str], Awaitable[Sequence[str]]]
"""The addresses of a name. Raises OSError where it has none."""

_URL = re.compile(r"https://(?P<authority>[^/?#]*)(?P<path>[^#]*)(?P<fragment>#.*)?", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:\[(?P<literal>[^\[\]]*)\]|(?P<name>[^\[\]:]*))(?::(?P<port>[0-9]{0,5}))?")
_NAME = re.compile(
    r"(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
_ENDS_IN_A_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
_KEPT_IN_PATH = "!$%&'()*+,-./:;=?@_~[]"


class BadUrl(ValueError):
    """The URL cannot be a webhook's. The text says why, for the one who sent it."""


class Target(NamedTuple):
    """Where a URL leads. `host` is a name in lower-case ASCII or a plain address, without brackets or last dot."""

    host: str
    port: int
    authority: str
    """As the Host header says it."""
    path: str
    """Path and query as the request line says them: ASCII, at least "/"."""
    is_address: bool


@lru_cache(4096)
def parse(url: str) -> Target:
    """Take a URL apart. Raises `BadUrl`.

    Judges the form alone: https, a host, no credentials, no fragment, nothing invisible, at most 2048 characters.
    A host that some resolvers would read as an IPv4 address is one, or is refused.
    """
    if len(url) > MAX_URL:
        raise BadUrl(f"must be at most {MAX_URL} characters")
    if not url.isprintable() or " " in url or "\\" in url:
        raise BadUrl("must not hold blanks, control characters or backslashes")
    found = _URL.fullmatch(url)
    if found is None:
        raise BadUrl("must start with https://")
    if found["fragment"] is not None:
        raise BadUrl("must not have a fragment (#): it would never be sent")
    if "@" in found["authority"]:
        raise BadUrl("must not hold credentials")
    host, port, is_address = _host_and_port(found["authority"])
    bracketed = f"[{host}]" if ":" in host else host
    authority = bracketed if port == HTTPS_PORT else f"{bracketed}:{port}"
    return Target(host, port, authority, _path(found["path"]), is_address)


def _path(text: str) -> str:
    path = text if text.startswith("/") else f"/{text}"
    try:
        return quote(path, safe=_KEPT_IN_PATH)
    except UnicodeEncodeError:
        raise BadUrl("is not Unicode text") from None


def _host_and_port(authority: str) -> tuple[str, int, bool]:
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        raise BadUrl("has no host and port that can be read")
    port = int(found["port"] or HTTPS_PORT)
    if not 1 <= port <= 65_535:
        raise BadUrl("must have a port from 1 to 65535")
    if found["literal"] is not None:
        return _literal(found["literal"]), port, True
    name = _ascii_name(found["name"])
    return name, port, _is_ipv4(name)


def _literal(text: str) -> str:
    try:
        ip = IPv6Address(text)
    except AddressValueError:
        raise BadUrl("has brackets around what is not an IPv6 address") from None
    if ip.scope_id is not None:
        raise BadUrl("must not name a zone of this machine (%)")
    return str(ip)


def _ascii_name(text: str) -> str:
    """As it is looked up and as its certificate names it (IDNA 2008, with UTS 46's mapping for other spellings)."""
    if not text:
        raise BadUrl("has no host")
    name = text
    if not text.isascii():
        try:
            name = idna.encode(text, uts46=True, std3_rules=True).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            raise BadUrl("has a host that is not a domain name") from None
    name = name.lower().removesuffix(".")
    if not _NAME.fullmatch(name):
        raise BadUrl("has a host that is not a domain name")
    return name


def _is_ipv4(name: str) -> bool:
    """No top-level domain is a number, and resolvers read `127.1`, `0x7f000001` and `017700000001` as addresses."""
    if not _ENDS_IN_A_NUMBER.fullmatch(name):
        return False
    try:
        IPv4Address(name)
    except AddressValueError:
        raise BadUrl("has a host that is neither a domain name nor a plain IPv4 address") from None
    return True


async def check(url: str, resolver: Resolver, allowed: Sequence[Network], *, seconds: float = CHECK_SECONDS) -> None:
    """Whether a subscription may have this URL, for a clear message when it is made. Raises `BadUrl`.

    Refused: a bad form, an address that may not be dialled, a name all of whose addresses may not be.
    A name that does not resolve, or not within `seconds`, is accepted: it may later, and each attempt vets it again.
    """
    target = parse(url)
    if target.is_address:
        if reason := forbidden(target.host, allowed):
            raise BadUrl(f"forbidden address {target.host} ({reason})")
        return
    if reason := forbidden_name(target.host, allowed):
        raise BadUrl(f"forbidden host {target.host} ({reason})")
    try:
        async with asyncio.timeout(seconds):
            addresses = await resolver(target.host)
    except OSError:  # a timeout is one
        return
    reasons = [forbidden(address, allowed) for address in addresses]
    if reasons and all(reasons):
        raise BadUrl(f"{target.host} has a forbidden address ({reasons[0]})")
