"""A delivery that this engine has leased, and how it came out of its hands."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kirimhook.sender.store.queue import Leased
from kirimhook.sender.store.settling import Ended

if TYPE_CHECKING:
    from kirimhook.sender.engine.endpoints import Endpoint
    from kirimhook.sender.transport.exchange import Exchange


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


class Finished(NamedTuple):
    """An attempt ended."""

    held: Held
    ended: Ended
    exchange: Exchange


class Returned(NamedTuple):
    """No attempt was made, or it was broken off: due again at `due_at`."""

    held: Held
    due_at: int


class Lost(NamedTuple):
    """Another engine has it, or will."""

    held: Held


Result = Finished | Returned | Lost
