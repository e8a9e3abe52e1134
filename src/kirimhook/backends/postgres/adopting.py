"""Adopt: events of another inbox, stored as they stand there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kirimhook.backends.postgres.link import Connection
from kirimhook.backends.postgres.rows import Columns
from kirimhook.backends.postgres.texts import storable
from kirimhook.receiver.model import FINISHED, EventState, StoredEvent

AT_ONCE = 500
"""Events of one transaction: nobody puts or leases meanwhile."""


def parts(events: Sequence[StoredEvent]) -> Iterator[Sequence[StoredEvent]]:
    for start in range(0, len(events), AT_ONCE):
        yield events[start : start + AT_ONCE]


async def adopt(connection: Connection, schema: str, events: Sequence[StoredEvent], now: int) -> int:
    """One transaction; how many were not known."""
    columns = Columns([one.event for one in events])
    marks = ", ".join(f"${n}" for n in range(1, 19))
    adopted: int = await connection.fetchval(
        f"SELECT {schema}.adopt({marks})",
        now,
        *columns.of_events,
        [one.event.body if one.has_payload else None for one in events],
        columns.lanes,
        columns.others,
        [one.state.value if one.state in FINISHED else None for one in events],
        [_due(one, now) for one in events],
        [one.attempts for one in events],
        [None if one.reason is None else storable(one.reason) for one in events],
        [one.finished_at for one in events],
    )
    return adopted


def _due(one: StoredEvent, now: int) -> int:
    """What ran there, or was behind another, is due if nothing of its key is before it here."""
    return now if one.due_at is None or one.state is EventState.RUNNING else one.due_at
