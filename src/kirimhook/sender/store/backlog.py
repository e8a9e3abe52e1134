"""What an organisation's subscriptions have waiting. Counts are bounded: a long backlog costs what a short one does."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection

from kirimhook.sender.store.batches import Text, both, fetch, plan_by_index

_ATTEMPTED = "s.organisation_id = $1 AND s.status = 'active' AND s.deleted_at IS NULL"
_COUNT = """SELECT count(*) FROM (SELECT 1 AS one FROM subscriptions s JOIN queue q ON q.subscription_id = s.id
WHERE {attempted} AND q.rank IN (0, 1) AND q.due_at {due} $2 LIMIT $3) AS found"""
_DUE = _COUNT.format(attempted=_ATTEMPTED, due="<=")
_LATER = _COUNT.format(attempted=_ATTEMPTED, due=">")
_OLDEST = f"""SELECT min(least) FROM (
    SELECT (SELECT min(due_at) FROM queue WHERE subscription_id = s.id AND rank = 0) AS least
    FROM subscriptions s WHERE {_ATTEMPTED}
    UNION ALL
    SELECT (SELECT min(due_at) FROM queue WHERE subscription_id = s.id AND rank = 1)
    FROM subscriptions s WHERE {_ATTEMPTED}) AS lanes"""
_HELD = "SELECT coalesce(sum(held), 0) FROM subscriptions WHERE organisation_id = $1 AND deleted_at IS NULL"
_KNOWN = both("""SELECT id, url, CASE WHEN deleted_at IS NOT NULL THEN 'deleted' ELSE status END, disabled_reason
FROM subscriptions WHERE organisation_id = $1 AND id IN $2""")
_ANY = "SELECT 1 FROM subscriptions WHERE organisation_id = $1 AND deleted_at IS NULL LIMIT 1"


def _plain(text: str) -> Text:
    """`both`, but for what it would make of the ranks."""
    return Text(text.replace("$", "?"), text)


_DUE_TEXT, _LATER_TEXT, _OLDEST_TEXT, _HELD_TEXT, _ANY_TEXT = map(_plain, (_DUE, _LATER, _OLDEST, _HELD, _ANY))


class Backlog(NamedTuple):
    """`due` and `later` are counted up to a bound. A delivery under way is among `later`: its lease ends later."""

    due: int
    """To be attempted now."""
    later: int
    held: int
    """Of disabled subscriptions."""
    oldest: int | None
    """When the one that waits longest became due (ms); None where nothing is due."""


class Known(NamedTuple):
    id: str
    url: str
    status: str
    """`active`, `disabled` or `deleted`."""
    disabled_reason: str | None


def backlog(connection: Connection, organisation_id: str, now: int, most: int) -> Backlog:
    """At `now` (ms); counts up to `most`."""
    plan_by_index(connection)
    due = _scalar(connection, _DUE_TEXT, organisation_id, now, most)
    later = _scalar(connection, _LATER_TEXT, organisation_id, now, most)
    oldest = fetch(connection, _OLDEST_TEXT, organisation_id)[0][0] if due else None
    return Backlog(due, later, _scalar(connection, _HELD_TEXT, organisation_id), oldest)


def known(connection: Connection, organisation_id: str, subscription_ids: Collection[str]) -> dict[str, Known]:
    rows = fetch(connection, _KNOWN, organisation_id, list(subscription_ids)) if subscription_ids else []
    return {row[0]: Known(*row) for row in rows}


def has_subscription(connection: Connection, organisation_id: str) -> bool:
    """Whether it has one that is not deleted."""
    return bool(fetch(connection, _ANY_TEXT, organisation_id))


def _scalar(connection: Connection, text: Text, *values: object) -> int:
    return int(fetch(connection, text, *values)[0][0])
