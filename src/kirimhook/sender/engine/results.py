"""How a delivery came out of an engine's hands."""

from __future__ import annotations

from typing import NamedTuple

from kirimhook.sender.engine.endpoints import Held
from kirimhook.sender.store.settling import Ended
from kirimhook.sender.transport.exchange import Exchange


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
