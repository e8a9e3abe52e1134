"""What can be set about a JetStream inbox, and its URL."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import unquote

from kirimhook.backends.settings import InboxSettings, options_of
from kirimhook.backends.shown import shown

NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
"""An inbox's name is part of the names of its streams."""
DEFAULT_NAME = "kirimhook"
MOST_PARTITIONS = 256
MOST_REPLICAS = 5
"""JetStream keeps no more."""
_PLACE = frozenset({"servers", "name"})


@dataclass(frozen=True, slots=True)
class JetStreamSettings(InboxSettings):
    """Raises ValueError, naming the field, for a value that cannot be kept."""

    servers: tuple[str, ...] = field(repr=False)  # may hold passwords
    """One URL of each server."""
    name: str = DEFAULT_NAME
    replicas: int = 1
    """Servers that keep a copy; three outlive the loss of one. `migrate` raises it, and never lowers it."""
    partitions: int = 8
    """Fixed when the streams are made: for streams that are there, what they were made with counts."""
    credentials: str = ""
    """A file with a user's JWT and key. Needs the package `nkeys`."""
    ca: str = ""
    """A file with the certificates that servers are checked against; the system's where there is none."""
    monitor: str = ""
    """URL of a server's monitoring port, to read from how it syncs: `http://host:8222`."""
    timeout: float = 2.0
    """Seconds that one request may take."""
    patience: float = 10.0
    """Seconds for which what is safe to ask again is asked again: a lost leader is replaced in 4 to 9. Puts have
    their own bound."""

    def __post_init__(self) -> None:
        InboxSettings.__post_init__(self)
        if not self.servers:
            raise ValueError("servers: a JetStream inbox needs a server, as in nats://host:4222/name")
        if not NAME.fullmatch(self.name):
            raise ValueError(f"name: {self.name!r} must be 1 to 32 letters, digits, _ or -")
        if self.partitions > MOST_PARTITIONS:
            raise ValueError(f"partitions: at most {MOST_PARTITIONS}")
        if self.replicas > MOST_REPLICAS:
            raise ValueError(f"replicas: at most {MOST_REPLICAS}")
        if self.monitor and not self.monitor.startswith(("http://", "https://")):
            raise ValueError("monitor: must be the http:// or https:// URL of a server's monitoring port")

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """`nats://host:4222,host2:4222/name?option=value`, or `tls://…`. Keyword options win over the URL's.

        What stands before an @ of the first server (`user:password@` or `token@`) counts for all that have none.
        """
        place, _, query = url.partition("?")
        scheme, mark, rest = place.partition("://")
        hosts, _, name = rest.partition("/")
        if scheme not in ("nats", "tls") or not mark or not all(hosts.split(",")):
            raise ValueError(f"inbox URL {shown(url)!r}: write nats://host:4222,host2:4222/name, or tls://…")
        found = options_of(cls, query, options, _PLACE)
        return cls(servers=_servers(scheme, hosts), name=unquote(name) or DEFAULT_NAME, **found)


def _servers(scheme: str, hosts: str) -> tuple[str, ...]:
    first = hosts.split(",", maxsplit=1)[0]
    user = first[: first.rfind("@") + 1]
    return tuple(f"{scheme}://{host if '@' in host else user + host}" for host in hosts.split(","))
