"""A dead letter, and what the provider's list says of the event in it. No I/O.

The list has no body. A source and an event id are the whole identity of every event but a `message.status`
(contract section 3): of the statuses of one message it cannot be told which one a letter holds.
"""

from __future__ import annotations

from typing import NamedTuple

from kirimhook.contract.events import KIRIM, META, dedupe_key
from kirimhook.contract.events import MESSAGE_STATUS as STATUS
from kirimhook.contract.resources import Delivery, DeliveryKind

SUBJECT_BYTES = 16
DISCARDED = "discarded"
"""The reason of those that an operator gave up when he enabled a subscription again (contract section 4)."""

_SOURCES = {"message": META, "conversation": KIRIM, "contact": KIRIM}
"""By the noun of a documented type."""
_IDS = (("wamid.", META), ("evt_", KIRIM))
"""By how an id begins, for a type that is not documented."""


class Letter(NamedTuple):
    """What judging and replaying need of a dead letter. Times are milliseconds since the epoch."""

    id: str
    """Of the delivery."""
    event_id: str
    event_type: str
    subject: bytes
    """Source and event id, hashed: statuses of one message share it."""
    key: bytes | None
    """The dedupe key; None where the list does not tell it."""
    created_at: int
    replayed_from: str | None
    """The delivery it was a replay of; its event is older than it then."""
    is_replayed: bool
    """The provider says that there is a later delivery of it."""
    is_test: bool
    is_erased: bool
    """Without an id: what the event held was erased on a customer's request."""
    was_discarded: bool
    tells_replays: bool
    """The provider says what was replayed, and as what. Where it does not, only we remember."""


def letter(delivery: Delivery) -> Letter:
    """Fields that a provider may leave out are taken as it is usual: an original that nobody replayed."""
    source = source_of(delivery)
    named = dedupe_key(source or "", delivery.event_id, "", b"")
    is_told = source is not None and delivery.event_type != STATUS
    return Letter(
        delivery.id,
        delivery.event_id,
        delivery.event_type,
        named,
        named if is_told else None,
        int(delivery.created_at.timestamp() * 1000),
        delivery.replayed_from,
        delivery.replayed_by is not None,
        delivery.kind is DeliveryKind.TEST,
        not delivery.event_id,
        delivery.dead_reason == DISCARDED,
        bool(delivery.kind),
    )


def source_of(delivery: Delivery) -> str | None:
    """As it says, else by its type, else by its id; None where all of them are silent."""
    if delivery.source:
        return delivery.source
    noun = delivery.event_type.partition(".")[0]
    if noun in _SOURCES:
        return _SOURCES[noun]
    return next((source for start, source in _IDS if delivery.event_id.startswith(start)), None)
