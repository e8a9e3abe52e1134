"""What an operator asks of the inbox: one event, a list, counts. Each is asked within one snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kirimhook.backends.cursors import read_cursor, write_cursor
from kirimhook.backends.postgres.filters import Query, select
from kirimhook.backends.postgres.functions.leasing import FIRST
from kirimhook.backends.postgres.link import Connection
from kirimhook.backends.postgres.rows import EVENT, event_of
from kirimhook.receiver.inbox import Filter, Page, Stats
from kirimhook.receiver.model import EventState, StoredEvent

PAGE = f"""
SELECT {EVENT}, coalesce(p.body, ''), e.number, p.number IS NOT NULL,
       CASE WHEN q.lane IS NULL OR q.number = ({FIRST}) THEN q.visible_at END,
       q.token, q.attempts, q.reason, f.state, f.at, f.attempts, f.reason
FROM {{schema}}.events e LEFT JOIN {{schema}}.queue q ON q.number = e.number
LEFT JOIN {{schema}}.finished f ON f.number = e.number LEFT JOIN {{schema}}.payloads p ON p.number = e.number"""
SIZE = """
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c
WHERE c.relnamespace = $1::regnamespace AND c.relkind = 'r'"""


class Records:
    """Questions about one inbox; each takes the connection it is asked on, and the time in ms."""

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self._page = PAGE.replace("{schema}", schema)

    async def get(self, connection: Connection, number: int, now: int) -> StoredEvent | None:
        row = await connection.fetchrow(f"{self._page} WHERE e.number = $1", number)
        return stored(row, now) if row else None

    async def read(self, connection: Connection, after: int, limit: int, now: int) -> Sequence[StoredEvent]:
        which = f"SELECT number FROM {self._schema}.events WHERE number > $1 ORDER BY number LIMIT $2"
        sql = f"{self._page} WHERE e.number IN ({which}) ORDER BY e.number"
        return [stored(row, now) for row in await connection.fetch(sql, after, limit)]

    async def known(self, connection: Connection, keys: Sequence[bytes], now: int) -> Sequence[EventState | None]:
        """The states of the events with these dedupe keys."""
        found = await connection.fetchval(f"SELECT {self._schema}.known($1, $2)", now, keys)
        return [None if state is None else EventState(state) for state in found]

    async def page(  # what a list is asked with
        self, connection: Connection, where: Filter, limit: int, cursor: str | None, now: int, *, bodies: bool = True
    ) -> Page:
        """Newest first. Raises ValueError for a foreign cursor."""
        query = await select(connection, self._schema, where, now)
        if cursor is not None:
            query.also("< {}", read_cursor(where, cursor))
        columns = self._page if bodies else self._page.replace("coalesce(p.body, '')", "''::bytea")
        events = await self._events(connection, query, limit + 1, now, columns)
        following = write_cursor(where, events[limit - 1].number) if len(events) > limit else None
        return Page(list(events[:limit]), following)

    async def count(self, connection: Connection, where: Filter, now: int) -> int:
        query = await select(connection, self._schema, where, now)
        sql = f"SELECT count(*) FROM {query.tables} WHERE {query.condition}"
        return int(await connection.fetchval(sql, *query.parameters))

    async def stats(self, connection: Connection, now: int) -> Stats:
        schema = self._schema
        waiting, running = await connection.fetchrow(  # type: ignore[misc]  # a count always has a row
            "SELECT count(*), count(*) FILTER (WHERE token IS NOT NULL AND visible_at > $1) "
            f"FROM {schema}.queue", now,
        )  # fmt: skip
        counts = {row[0]: row[1] for row in await connection.fetch(f"SELECT state, events FROM {schema}.tally")}
        oldest = await connection.fetchval(
            f"SELECT received_at FROM {schema}.events WHERE number = (SELECT min(number) FROM {schema}.queue)"
        )
        paused = await connection.fetchval(f"SELECT 1 FROM {schema}.control WHERE name = 'paused'")
        unfinished = {EventState.WAITING: waiting - running, EventState.RUNNING: running}
        return Stats(
            unfinished | {EventState(state): events for state, events in counts.items()},
            paused is not None,
            oldest,
            int(await connection.fetchval(SIZE, schema)),
        )

    async def pause(self, connection: Connection, now: int) -> None:
        """Once it is said, no lease is under way that began before."""
        sql = f"SELECT {self._schema}.pause($1)"
        await connection.execute(sql, str(now))

    async def resume(self, connection: Connection) -> None:
        await connection.execute(f"DELETE FROM {self._schema}.control WHERE name = 'paused'")

    async def _events(
        self, connection: Connection, query: Query, limit: int, now: int, columns: str
    ) -> Sequence[StoredEvent]:
        """First which, then what: rows with bodies are too wide to sort."""
        which = (
            f"SELECT {query.number} FROM {query.tables} WHERE {query.condition} "
            f"ORDER BY {query.number} DESC LIMIT {query.value(limit)}"
        )
        sql = f"{columns} WHERE e.number IN ({which}) ORDER BY e.number DESC"
        return [stored(row, now) for row in await connection.fetch(sql, *query.parameters)]


def stored(record: Any, now: int) -> StoredEvent:
    """One row of `PAGE`."""
    row = tuple(record)
    number, has_payload, due_at, token, tried, queue_reason, state, at, attempts, reason = row[10:]
    leased = token is not None and due_at is not None and due_at > now
    return StoredEvent(
        number=number,
        event=event_of(row[:10]),
        state=EventState(state or (EventState.RUNNING if leased else EventState.WAITING)),
        attempts=attempts if state else tried,
        due_at=due_at,
        finished_at=at,
        reason=reason if state else queue_reason,
        has_payload=has_payload,
    )
