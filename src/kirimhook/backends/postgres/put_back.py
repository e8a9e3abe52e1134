"""Put back: finished events become due again, a bounded number in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from kirimhook.backends.postgres.filters import select
from kirimhook.backends.postgres.link import Connection
from kirimhook.backends.postgres.texts import lane_of, unmarked
from kirimhook.backends.put_back_filter import states_meant
from kirimhook.receiver.inbox import Filter

AT_ONCE = 500
"""Events of one transaction."""


class Found(NamedTuple):
    number: int
    lane: int | None


class Step(NamedTuple):
    put_back: int
    purged: int
    """That could not be: their bodies are gone."""


async def find(connection: Connection, schema: str, where: Filter, beyond: int, now: int) -> Sequence[Found]:
    """The oldest finished events above number `beyond`. Reads only: a search may be long."""
    query = await select(connection, schema, replace(where, states=states_meant(where)), now)
    query.also("> {}", beyond)
    which = f"SELECT f.number FROM {query.tables} WHERE {query.condition} ORDER BY f.number LIMIT {AT_ONCE}"
    sql = f"SELECT number, ordering_key FROM {schema}.events WHERE number IN ({which}) ORDER BY number"
    return [
        Found(number, None if key is None else lane_of(unmarked(key)))
        for number, key in await connection.fetch(sql, *query.parameters)
    ]


async def put_back(connection: Connection, schema: str, where: Filter, found: Sequence[Found], now: int) -> Step:
    """Those found that are still in the states meant (nothing else of an event changes), with fresh attempts."""
    row = await connection.fetchrow(
        f"SELECT back, purged FROM {schema}.put_back($1, $2, $3, $4)",
        now,
        [each.number for each in found],
        [each.lane for each in found],
        sorted(states_meant(where)),
    )
    return Step(*(row or (0, 0)))
