"""An inbox URL as logs, errors and pages may show it: without passwords and tokens."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

HIDDEN = "***"
_OPTION = re.compile(r"(?i)([?&](?:password|sslpassword|token)=)([^&#]*)")
_PIECES = re.compile(r"[/?#@,]")
_TOKENS = ("nats", "tls")
"""Schemes in which a user without a password is a token."""
_SHORTEST = 3
"""Characters of a secret that is looked for in a text; less is found in every word."""


class _Masked(NamedTuple):
    text: str
    secrets: tuple[str, ...]


def shown(url: str) -> str:
    """A user and the hosts stay. Also of a URL that makes no sense, such as one with a password not quoted."""
    return _masked(url).text


def scrubbed(text: str, url: str) -> str:
    """What somebody else says about `url`, without its secrets."""
    masked = _masked(url)
    text = text.replace(url, masked.text)
    pieces = {piece for secret in masked.secrets for piece in (secret, unquote(secret), *_PIECES.split(secret))}
    for piece in sorted(pieces, key=len, reverse=True):
        if len(piece) >= _SHORTEST:
            text = text.replace(piece, HIDDEN)
    return text


def _masked(url: str) -> _Masked:
    scheme, mark, rest = url.partition("://")
    secrets = [found[1] for found in _OPTION.findall(url)]
    if mark and scheme != "sqlite":
        users, hosts = _split(rest)
        if users is not None:
            parts = [_user(part, first=not at, token=scheme in _TOKENS) for at, part in enumerate(users.split("@"))]
            secrets += [secret for part in parts for secret in part.secrets]
            rest = "@".join([*(part.text for part in parts), hosts])
    return _Masked(_OPTION.sub(rf"\1{HIDDEN}", scheme + mark + rest), tuple(secrets))


def _split(rest: str) -> tuple[str | None, str]:
    """Before and after the last @ of the hosts; in the query one belongs to them only if a password has a ? in it."""
    place, mark, query = rest.partition("?")
    port = place.partition("/")[0].rpartition(":")[2]
    if "@" in place or not mark or port.isdigit() or ":" not in place:
        users, at, hosts = place.rpartition("@")
        return (users if at else None), hosts + mark + query
    users, at, hosts = rest.rpartition("@")
    return (users if at else None), hosts


def _user(part: str, *, first: bool, token: bool) -> _Masked:
    """What stands before an @: a user; after the first one, the host before it and then a user."""
    host, comma, user = ("", "", part) if first else part.partition(",")
    if not first and not comma:  # an @ within a password
        return _Masked(HIDDEN, (part,))
    name, colon, password = user.partition(":")
    if colon:
        return _Masked(f"{host}{comma}{name}:{HIDDEN}", (password,))
    return _Masked(f"{host}{comma}{HIDDEN}", (name,)) if token else _Masked(f"{host}{comma}{name}", ())
