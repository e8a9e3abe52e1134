"""Who deliveries go to: what each subscription is as of its last version, and what this engine holds of it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from kirimhook.contract.signature import Secret
from kirimhook.sender.model import Rank, SigningSecret, in_force
from kirimhook.sender.store.endpoints import EndpointRow
from kirimhook.sender.store.queue import Leased
from kirimhook.sender.transport.urls import BadUrl, parse

MOST_KNOWN = 10_000
"""Endpoints remembered although nothing of them is held."""


class Opener(Protocol):
    """Unseals what is encrypted at rest. May raise anything where the master key is another one."""

    def open(self, sealed: bytes) -> bytes: ...


class Endpoint:
    """One subscription. Lives on the engine's loop."""

    __slots__ = (
        "_secrets", "_signing", "_signing_until", "background", "held_background", "held_live", "host", "id",
        "in_flight", "is_active", "is_starved", "live", "problem", "url", "version", "width",
    )  # fmt: skip

    def __init__(self, id_: str) -> None:
        self.id = id_
        self.version = 0
        self.url = ""
        self.host = ""
        """As the header has it."""
        self.is_active = False
        self.problem: str | None = None
        """Why nothing can be signed."""
        self._signing: tuple[Secret, ...] = ()
        self._signing_until = 0.0
        self.live: deque[Held] = deque()
        self.background: deque[Held] = deque()
        self.held_live = 0
        self.held_background = 0
        self.in_flight = 0
        self.width = 0
        """How many attempts may be under way at present; 0 before the first."""
        self.is_starved = False
        """Whether it waits for room among all attempts under way."""
        self._secrets: tuple[SigningSecret, ...] = ()

    @property
    def is_held(self) -> bool:
        return self.held_live > 0 or self.held_background > 0

    @property
    def is_waiting(self) -> bool:
        return bool(self.live or self.background)

    def line(self, rank: int) -> deque[Held]:
        return self.live if rank == Rank.LIVE else self.background

    def count(self, rank: int, by: int) -> None:
        if rank == Rank.LIVE:
            self.held_live += by
        else:
            self.held_background += by

    def secrets(self, now: float) -> tuple[Secret, ...]:
        """Those in force at `now`, unix seconds: with all of them it is signed."""
        if now >= self._signing_until:
            ms = int(now * 1000)
            self._signing = tuple([each.secret for each in in_force(self._secrets, ms)])
            ends = [each.expires_at / 1000 for each in self._secrets if each.expires_at and each.expires_at > ms]
            self._signing_until = min(ends, default=math.inf)
        return self._signing

    def learn(self, row: EndpointRow, sealer: Opener) -> None:
        """Take over what was read, unless something newer is known."""
        if row.version < self.version:
            return
        self.version, self.url, self.is_active = row.version, row.url, row.is_active
        self.host = _host(row.url)
        self._signing_until, self.problem = 0.0, None
        try:
            self._secrets = tuple(
                [
                    SigningSecret(each.id, Secret(sealer.open(bytes(each.sealed)).decode()), each.expires_at)
                    for each in row.secrets
                ]
            )
        except Exception as error:  # of one subscription: the others must go on
            self.problem = f"its secrets cannot be opened: {type(error).__name__}"
            return
        if not self._secrets:
            self.problem = "it has no secret"


class Held:
    """Compared by identity: the same delivery can be leased again while an old lease of it is being lost."""

    __slots__ = ("begun", "body", "counted", "delivery", "endpoint", "is_lost", "token", "until")

    def __init__(self, delivery: Leased, endpoint: Endpoint, token: str, until: float) -> None:
        self.delivery = delivery
        self.endpoint = endpoint
        self.token = token
        self.until = until
        """When its lease ends, in unix seconds."""
        self.begun = 0
        """In which round of the pacing."""
        self.body = delivery.body
        self.counted = True
        """Whether it takes up room."""
        self.is_lost = False


def _host(url: str) -> str:
    try:
        return parse(url).authority
    except BadUrl:  # which is what its attempts will say
        return ""


class Endpoints:
    """All that is known. `told` hears once of each that gets a problem."""

    def __init__(self, sealer: Opener, told: Callable[[Endpoint], None]) -> None:
        self._sealer = sealer
        self._told = told
        self._known: dict[str, Endpoint] = {}
        self.versions: dict[str, int] = {}
        """By id, of all that are known. Read from other threads."""

    def __getitem__(self, id_: str) -> Endpoint:
        return self._known[id_]

    def get(self, id_: str) -> Endpoint | None:
        return self._known.get(id_)

    def learn(self, rows: Iterable[EndpointRow]) -> None:
        for row in rows:
            endpoint = self._known.get(row.id)
            if endpoint is None:
                endpoint = self._known[row.id] = Endpoint(row.id)
            before = endpoint.problem
            endpoint.learn(row, self._sealer)
            self.versions[row.id] = endpoint.version
            if endpoint.problem is not None and endpoint.problem != before:
                self._told(endpoint)
        if len(self._known) > MOST_KNOWN:
            self._forget()

    def held(self) -> Iterator[Endpoint]:
        return (endpoint for endpoint in self._known.values() if endpoint.is_held)

    def rooms(self) -> Mapping[str, tuple[int, int]]:
        """How many of each are held, live and background."""
        return {endpoint.id: (endpoint.held_live, endpoint.held_background) for endpoint in self.held()}

    def _forget(self) -> None:
        """The longest known half of those of which nothing is held."""
        idle = [endpoint.id for endpoint in self._known.values() if not endpoint.is_held]
        for id_ in idle[: len(idle) // 2]:
            del self._known[id_]
            self.versions.pop(id_, None)
