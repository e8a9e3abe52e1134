"""Between events and what the statements take and give."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

from kirimhook.backends.postgres.tables import SOURCES
from kirimhook.backends.postgres.texts import are_plain, lane_of, marked, unmarked
from kirimhook.receiver.model import InboundEvent

EVENT = """e.dedupe_key, e.event_id, e.type, e.source, e.ordering_key, e.livemode, e.problem, e.delivery_id,
       e.received_at"""


class Columns:
    """A batch of events by column. `lanes` are digests of the ordering keys, `others` the sources not documented."""

    def __init__(self, events: Sequence[InboundEvent]) -> None:
        keys, ids, types, sources, orderings, lives, problems, deliveries, times, bodies = (
            zip(*events, strict=True) if events else [()] * len(InboundEvent._fields)
        )
        self.lanes = [lane_of(key) for key in orderings]
        self.bodies = bodies
        texts: list[Sequence[str | None]] = [ids, types, sources, orderings, problems, deliveries]
        if not are_plain(filter(None, chain.from_iterable(texts))):
            texts = [[text if text is None else marked(text) for text in column] for column in texts]
        self.others = sorted(set(filter(None, texts[2])).difference(SOURCES))
        self.of_events: tuple[Sequence[Any], ...] = (keys, *texts[:4], lives, *texts[4:], times)


def event_of(row: tuple[Any, ...]) -> InboundEvent:
    """Of the columns `EVENT`, and the body."""
    key, event_id, kind, source, ordering_key, livemode, problem, delivery_id, received_at, body = row
    return InboundEvent(
        key,
        unmarked(event_id),
        unmarked(kind),
        unmarked(source),
        ordering_key if ordering_key is None else unmarked(ordering_key),
        livemode,
        problem if problem is None else unmarked(problem),
        unmarked(delivery_id),
        received_at,
        body,
    )
