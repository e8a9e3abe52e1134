"""What came of attempts by subscription and minute, as the engines sum it up: for people to look at.

The row of the subscription `WHOLE` is the sum over an organisation, so that what is read of it does not grow with its
subscriptions. Rows of one minute and subscription are added up: each engine writes its own.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Connection

from kirimhook.sender.store.batches import Column, Row, Text, fetch, plan_by_index, replacing, run_batch

MINUTE = 60_000
"""Milliseconds."""
WHOLE = ""
"""In place of a subscription: the organisation."""
WALK = 50_000
"""Rows that are looked through for the busiest subscriptions, at most."""

_KEYS = Column("organisation_id"), Column("minute", "bigint"), Column("subscription_id"), Column("writer")
_COUNTS = Column("succeeded", "int"), Column("failed", "int"), Column("dead", "int"), Column("latencies")
_REPLACE = replacing("minutes", _COUNTS, *_KEYS)

_READ = "SELECT minute, subscription_id, succeeded, failed, dead, latencies FROM minutes"
_SUMS = Text(
    f"""{_READ} WHERE organisation_id = ?1 AND minute IN (SELECT value FROM json_each(?2))
    AND subscription_id IN (SELECT value FROM json_each(?3))""",
    f"{_READ} WHERE organisation_id = $1 AND minute = ANY($2::bigint[]) AND subscription_id = ANY($3::text[])",
)
_COUNTED = "SELECT subscription_id, sum(succeeded), sum(failed), sum(dead) FROM minutes"
_COUNTS_OF = Text(
    f"""{_COUNTED} WHERE organisation_id = ?1 AND minute IN (SELECT value FROM json_each(?2))
    AND subscription_id IN (SELECT value FROM json_each(?3)) GROUP BY subscription_id""",
    f"""{_COUNTED} WHERE organisation_id = $1 AND minute = ANY($2::bigint[]) AND subscription_id = ANY($3::text[])
    GROUP BY subscription_id""",
)
_WALK = """SELECT subscription_id, minute, succeeded + failed + dead AS attempts FROM minutes
    WHERE organisation_id = $1 AND minute >= $2 AND minute < $3 ORDER BY minute DESC LIMIT $4"""
_BUSIEST = f"""WITH walked AS ({_WALK})
SELECT subscription_id, sum(attempts) AS n, (SELECT min(minute) FROM walked), (SELECT count(*) FROM walked)
FROM walked WHERE subscription_id <> '' GROUP BY subscription_id ORDER BY n DESC, subscription_id LIMIT $5"""
_PURGE = """DELETE FROM minutes WHERE (organisation_id, minute, subscription_id, writer) IN (
    SELECT organisation_id, minute, subscription_id, writer FROM minutes WHERE minute < $1 ORDER BY minute LIMIT $2)"""


def _both(text: str) -> Text:
    return Text(text.replace("$", "?"), text)


_BUSIEST_TEXT, _PURGE_TEXT = _both(_BUSIEST), _both(_PURGE + " RETURNING minute")


class Sum(NamedTuple):
    """A row. `minute` since the epoch; `latencies` as `packed` made them."""

    organisation_id: str
    minute: int
    subscription_id: str
    writer: str
    succeeded: int
    failed: int
    dead: int
    latencies: str


@dataclass(slots=True)
class Sums:
    """Attempts by what came of them, and how long original deliveries took, by `sender.latencies.bucket`."""

    succeeded: int = 0
    failed: int = 0
    dead: int = 0
    latencies: Counter[int] = field(default_factory=Counter)

    def add(self, succeeded: int, failed: int, dead: int, latencies: Mapping[int, int]) -> None:
        self.succeeded += succeeded
        self.failed += failed
        self.dead += dead
        self.latencies.update(latencies)


class Busiest(NamedTuple):
    """The subscriptions of the most attempts, most first. `since`: the minute from which on these were looked for."""

    subscription_ids: list[str]
    since: int


def packed(latencies: Mapping[int, int]) -> str:
    """As JSON: `{"bucket": how many}`."""
    return json.dumps(latencies, separators=(",", ":"))


def unpacked(text: str) -> dict[int, int]:
    return {int(bucket): count for bucket, count in json.loads(text).items()}


def replace(connection: Connection, sums: Iterable[Sum]) -> None:
    """Write rows, in place of those of the same writers."""
    plan_by_index(connection)
    rows = [(*one[4:], *one[:4]) for one in sums]
    run_batch(connection, _REPLACE, rows)


def by_minute(
    connection: Connection, organisation_id: str, minutes: range, subscription_id: str = WHOLE
) -> dict[int, Sums]:
    """Those of the minutes in which something was attempted."""
    sums: defaultdict[int, Sums] = defaultdict(Sums)
    for minute, _, succeeded, failed, dead, latencies in _rows(connection, organisation_id, minutes, [subscription_id]):
        sums[minute].add(succeeded, failed, dead, unpacked(latencies))
    return dict(sums)


def of_subscriptions(
    connection: Connection, organisation_id: str, minutes: range, subscription_ids: Collection[str]
) -> dict[str, Sums]:
    """Over all these minutes, of the subscriptions that had an attempt in them."""
    sums: defaultdict[str, Sums] = defaultdict(Sums)
    for _, who, succeeded, failed, dead, latencies in _rows(connection, organisation_id, minutes, subscription_ids):
        sums[who].add(succeeded, failed, dead, unpacked(latencies))
    return dict(sums)


def counts_of(
    connection: Connection, organisation_id: str, minutes: range, subscription_ids: Collection[str]
) -> dict[str, Sums]:
    """The same without latencies, which are most of the work: the database adds up."""
    if not subscription_ids:
        return {}
    plan_by_index(connection)
    rows = fetch(connection, _COUNTS_OF, organisation_id, list(minutes), list(subscription_ids))
    return {who: Sums(int(succeeded), int(failed), int(dead)) for who, succeeded, failed, dead in rows}


def busiest(connection: Connection, organisation_id: str, minutes: range, most: int) -> Busiest:
    """Among the newest `WALK` rows of these minutes."""
    plan_by_index(connection)
    rows = fetch(connection, _BUSIEST_TEXT, organisation_id, minutes.start, minutes.stop, WALK, most)
    cut = next((since for _, _, since, walked in rows if walked >= WALK), minutes.start)
    return Busiest([row[0] for row in rows], cut)


def purge(connection: Connection, before: int, limit: int) -> int:
    """At most `limit` rows of minutes before this one are gone; how many."""
    plan_by_index(connection)
    return len(fetch(connection, _PURGE_TEXT, before, limit))


def _rows(
    connection: Connection, organisation_id: str, minutes: range, subscription_ids: Collection[str]
) -> Sequence[Row]:
    if not subscription_ids:
        return []
    plan_by_index(connection)
    return fetch(connection, _SUMS, organisation_id, list(minutes), list(subscription_ids))
