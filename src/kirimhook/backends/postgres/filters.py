"""Which rows a `Filter` means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kirimhook.backends.postgres.link import Connection
from kirimhook.backends.postgres.tables import SOURCES
from kirimhook.backends.postgres.texts import lane_of, marked, unmarked
from kirimhook.contract.events import dedupe_key
from kirimhook.receiver.inbox import Filter
from kirimhook.receiver.model import FINISHED, EventState

MOST_TYPES = 200
NOTABLE = " AND f.state <> 'done'"
"""Lets PostgreSQL use the index over all that is not done."""


class Query:
    """The part of a statement behind SELECT …, with its parameters.

    It starts from the table with the fewest rows of the states that are wanted: `e` (events), `q` (queue) or
    `f` (finished), and holds the others only where a condition needs them. `number` is its column to order by.
    """

    def __init__(self, schema: str, where: Filter, now: int) -> None:
        self.parameters: list[Any] = []
        self.tables, self.number = _tables(schema, where)
        self._conditions = list(self._of(where, now))

    @property
    def condition(self) -> str:
        return " AND ".join(self._conditions) or "true"

    def value(self, value: object) -> str:
        """Where it stands in the statement."""
        self.parameters.append(value)
        return f"${len(self.parameters)}"

    def also(self, condition: str, value: object) -> None:
        """`condition` compares the number with the value, as in `> {}`."""
        self._conditions.append(f"{self.number} {condition.format(self.value(value))}")

    def _of(self, where: Filter, now: int) -> Iterator[str]:
        if where.states:
            yield self._states(where.states, now)
        if len(where.types) > MOST_TYPES:
            raise ValueError(f"a filter takes at most {MOST_TYPES} types")
        if where.types:
            yield f"({' OR '.join(self._type(pattern) for pattern in where.types)})"
        if where.received_after is not None:
            yield f"e.received_at >= {self.value(where.received_after)}"
        if where.received_before is not None:
            yield f"e.received_at < {self.value(where.received_before)}"
        if where.ordering_key is not None:
            yield f"e.ordering_key = {self.value(marked(where.ordering_key))}"
            if where.states and not where.states & FINISHED:
                yield f"q.lane = {self.value(lane_of(where.ordering_key))}"
        if where.numbers:
            yield f"{self.number} = ANY ({self.value(where.numbers)}::bigint[])"
        yield from self._span(where)

    def _states(self, states: frozenset[EventState], now: int) -> str:
        tests = []
        if finished := sorted(states & FINISHED):
            names = ", ".join(f"'{state}'" for state in finished)
            tests.append(f"f.state IN ({names})" + (NOTABLE if EventState.DONE not in finished else ""))
        if states - FINISHED:
            running = f"(q.token IS NOT NULL AND q.visible_at > {self.value(now)})"
            if EventState.RUNNING in states:
                tests.append(running)
            if EventState.WAITING in states:
                tests.append(f"(q.number IS NOT NULL AND NOT {running})")
        return f"({' OR '.join(tests)})"

    def _span(self, where: Filter) -> Iterator[str]:
        """Said of each table: PostgreSQL concludes that two numbers are equal, not that both lie in the span."""
        numbers = {self.number, "e.number"} if ".events e" in self.tables else {self.number}
        for number in sorted(numbers):
            if where.above is not None:
                yield f"{number} > {self.value(where.above)}"
            if where.below is not None:
                yield f"{number} < {self.value(where.below)}"

    def _type(self, pattern: str) -> str:
        if pattern.endswith("*"):
            return f"starts_with(e.type, {self.value(marked(pattern[:-1]))}::text)"
        return f"e.type = {self.value(marked(pattern))}"


async def select(connection: Connection, schema: str, where: Filter, now: int) -> Query:
    """Raises ValueError for a filter that is too long."""
    query = Query(schema, where, now)
    if where.event_id is not None:
        query.also("= ANY ({}::bigint[])", await _numbers_of(connection, schema, where.event_id))
    return query


async def _numbers_of(connection: Connection, schema: str, event_id: str) -> list[int]:
    """By dedupe key, which is indexed, and begins alike for all events of one source and id."""
    others = [unmarked(row[0]) for row in await connection.fetch(f"SELECT name FROM {schema}.sources")]
    starts = [dedupe_key(source, event_id, "", b"") for source in (*SOURCES, *others)]
    sql = (
        f"SELECT e.number FROM unnest($1::bytea[], $2::bytea[]) AS s (low, high) "
        f"JOIN {schema}.events e ON e.dedupe_key BETWEEN s.low AND s.high"
    )
    return [row[0] for row in await connection.fetch(sql, starts, [start + b"\xff" * 16 for start in starts])]


def _tables(schema: str, where: Filter) -> tuple[str, str]:
    about = where.types or any(
        one is not None for one in (where.received_after, where.received_before, where.ordering_key)
    )
    events = f" JOIN {schema}.events e ON e.number = " if about else ""
    if where.states and where.states <= FINISHED:
        return f"{schema}.finished f{events and events + 'f.number'}", "f.number"
    if where.states and not where.states & FINISHED:
        return f"{schema}.queue q{events and events + 'q.number'}", "q.number"
    both = f" LEFT JOIN {schema}.queue q USING (number) LEFT JOIN {schema}.finished f USING (number)"
    return f"{schema}.events e" + (both if where.states else ""), "e.number"
