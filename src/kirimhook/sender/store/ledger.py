"""The account of all deliveries, and what is wrong with them. Contract section 4; promise G6.

Each count is taken from the rows themselves, never from another count. What makes it an account is that the two sides
were written by different statements, in different places:

- an event says how many original deliveries it made (`matches`, at publish); the deliveries are rows of their own.
  Σ matches of the events of an organisation, with those of the events that retention removed (`purged_matches`),
  is the number of its original deliveries, with those that retention removed (`purged_succeeded`, `purged_dead`).
  An event goes after its last delivery, so either side may be ahead in what it purged, and both still count it.
- the originals of a subscription, by `original`, are those that succeeded, are dead or are open, by `status`.
- what is open, by `status`, is what is in the queue; what has ended, by `status`, has `finished_at`; and so on:
  every rule of `CHECKS` can fail by itself.

One snapshot, so the account is exact while publishers and engines work. Rows are counted where they are: what is read
is one row for each subscription, and one for each rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Connection, text

from kirimhook.sender.model import DeadReason, DeliveryKind, DeliveryStatus

_OPEN = "('pending', 'failed')"
_STATUSES = ", ".join(f"'{status}'" for status in DeliveryStatus)
_KINDS = ", ".join(f"'{kind}'" for kind in DeliveryKind)
_REASONS = ", ".join(f"'{reason}'" for reason in DeadReason)


class Account(NamedTuple):
    """One subscription's deliveries, purged ones included: originals = succeeded + dead + open."""

    organisation_id: str
    subscription_id: str
    status: str
    """`active`, `disabled` or `deleted`."""
    originals: int
    succeeded: int
    dead: int
    open: int
    held: int
    """Of those open: not attempted, because it is disabled."""
    replays: int
    tests: int
    purged: int
    """Of the originals: removed by retention."""

    @property
    def balances(self) -> bool:
        return self.originals == self.succeeded + self.dead + self.open


class Total(NamedTuple):
    """One organisation: the deliveries that its events made, and those that its subscriptions account for."""

    organisation_id: str
    name: str
    matched: int
    originals: int

    @property
    def balances(self) -> bool:
        return self.matched == self.originals


class Check(NamedTuple):
    """A rule. `broken` selects, as `id`, what is against it."""

    name: str
    about: str
    broken: str


class Finding(NamedTuple):
    """A rule that does not hold."""

    check: str
    about: str
    times: int
    example: str


ROWS: tuple[tuple[str, str, str], ...] = (
    ("known_status", "a delivery has a status that does not exist", f"status NOT IN ({_STATUSES})"),
    (
        "known_kind",
        "a delivery's kind and its mark as an original disagree",
        f"kind NOT IN ({_KINDS}) OR (kind = 'original') <> (original IS TRUE) OR original IS FALSE",
    ),
    (
        "finished",
        "a delivery has a time of its end without having ended, or has ended without one",
        f"(finished_at IS NULL) <> (status IN {_OPEN})",
    ),
    (
        "reasoned",
        "a dead letter has no reason that exists, or another delivery has one",
        f"(status = 'dead') <> (dead_reason IS NOT NULL) OR dead_reason NOT IN ({_REASONS})",
    ),
    (
        "next_attempt",
        "an open delivery has no next attempt, or one that has ended has",
        f"(next_attempt_at IS NOT NULL) <> (status IN {_OPEN})",
    ),
    (
        "attempted",
        "a delivery's status does not go with the number of its attempts",
        """CASE status WHEN 'pending' THEN attempt_count <> 0 WHEN 'dead' THEN attempt_count > max_attempts
        ELSE attempt_count NOT BETWEEN 1 AND max_attempts END""",
    ),
    (
        "replayed_from",
        "a replay does not say of what, or another delivery does",
        "(kind = 'replay') <> (replayed_from IS NOT NULL)",
    ),
)
"""Rules of a single delivery: name, what is wrong, the condition for it. All are looked at in one pass."""

CHECKS: tuple[Check, ...] = (
    Check(
        "queued",
        "an open delivery is not in the queue: nobody will attempt it",
        f"""SELECT d.id AS id FROM deliveries d LEFT JOIN queue q ON q.delivery_id = d.id
        WHERE d.status IN {_OPEN} AND q.delivery_id IS NULL""",
    ),
    Check(
        "open",
        "the queue has what is not an open delivery of that subscription",
        f"""SELECT q.delivery_id AS id FROM queue q LEFT JOIN deliveries d ON d.id = q.delivery_id
        WHERE d.id IS NULL OR d.status NOT IN {_OPEN} OR d.subscription_id <> q.subscription_id""",
    ),
    Check(
        "counted_in_queue",
        "queue and delivery disagree on how many attempts there were",
        """SELECT d.id AS id FROM queue q JOIN deliveries d ON d.id = q.delivery_id
        WHERE d.attempt_count <> q.attempts""",
    ),
    Check(
        "recorded",
        "a delivery's attempts are not those that it counts",
        """SELECT d.id AS id FROM deliveries d LEFT JOIN (SELECT delivery_id, count(*) AS n, max(number) AS last
            FROM attempts GROUP BY delivery_id) a ON a.delivery_id = d.id
        WHERE d.attempt_count <> coalesce(a.n, 0) OR d.attempt_count <> coalesce(a.last, 0)""",
    ),
    Check(
        "attempt_of_nothing",
        "an attempt's delivery is not there",
        """SELECT a.delivery_id AS id FROM attempts a LEFT JOIN deliveries d ON d.id = a.delivery_id
        WHERE d.id IS NULL""",
    ),
    Check(
        "one_original",
        "an event made several original deliveries for one subscription",
        """SELECT event AS id FROM deliveries WHERE original IS TRUE GROUP BY event, subscription_id
        HAVING count(*) > 1""",
    ),
    Check(
        "event",
        "a delivery's event is not there, or is another's",
        """SELECT d.id AS id FROM deliveries d LEFT JOIN events e ON e.id = d.event
        WHERE e.id IS NULL OR e.organisation_id <> d.organisation_id OR e.event_id <> d.event_id
            OR e.type <> d.event_type OR e.source <> d.source""",
    ),
    Check(
        "matches",
        "an event does not have the original deliveries that it made",  # fewer is right once retention took some
        """SELECT e.id AS id FROM events e
        JOIN (SELECT organisation_id, sum(purged_succeeded + purged_dead) AS n FROM subscriptions
            GROUP BY organisation_id) p ON p.organisation_id = e.organisation_id
        LEFT JOIN (SELECT event, count(*) AS n FROM deliveries WHERE original IS TRUE GROUP BY event) o
            ON o.event = e.id
        WHERE coalesce(o.n, 0) > e.matches OR (p.n = 0 AND coalesce(o.n, 0) <> e.matches)""",
    ),
    Check(
        "subscription",
        "a delivery's subscription is not there, or is another organisation's",
        """SELECT d.id AS id FROM deliveries d LEFT JOIN subscriptions s ON s.id = d.subscription_id
        WHERE s.id IS NULL OR s.organisation_id <> d.organisation_id""",
    ),
    Check(
        "held",
        "a subscription does not hold as many as it counts",
        """SELECT s.id AS id FROM subscriptions s LEFT JOIN (SELECT subscription_id, count(*) AS n FROM queue
            GROUP BY subscription_id) q ON q.subscription_id = s.id
        WHERE s.held <> CASE WHEN s.status = 'disabled' AND s.deleted_at IS NULL THEN coalesce(q.n, 0) ELSE 0 END""",
    ),
    Check(
        "deleted",
        "a deleted subscription is still matched",
        """SELECT s.id AS id FROM subscriptions s JOIN subscribed_types t ON t.subscription_id = s.id
        WHERE s.deleted_at IS NOT NULL""",
    ),
)

_COUNT = "count(CASE WHEN {condition} THEN 1 END), min(CASE WHEN {condition} THEN id END)"
_ROWS = text(f"SELECT {', '.join(_COUNT.format(condition=condition) for _, _, condition in ROWS)} FROM deliveries")
_ACCOUNTS = text(f"""
SELECT s.organisation_id, s.id, CASE WHEN s.deleted_at IS NOT NULL THEN 'deleted' ELSE s.status END,
    coalesce(d.originals, 0) + s.purged_succeeded + s.purged_dead,
    coalesce(d.succeeded, 0) + s.purged_succeeded,
    coalesce(d.dead, 0) + s.purged_dead,
    coalesce(d.still_open, 0),
    CASE WHEN s.status = 'disabled' AND s.deleted_at IS NULL THEN coalesce(d.still_open, 0) ELSE 0 END,
    coalesce(d.replays, 0), coalesce(d.tests, 0), s.purged_succeeded + s.purged_dead
FROM subscriptions s LEFT JOIN (
    SELECT subscription_id,
        count(CASE WHEN original IS TRUE THEN 1 END) AS originals,
        count(CASE WHEN kind = 'original' AND status = 'succeeded' THEN 1 END) AS succeeded,
        count(CASE WHEN kind = 'original' AND status = 'dead' THEN 1 END) AS dead,
        count(CASE WHEN kind = 'original' AND status IN {_OPEN} THEN 1 END) AS still_open,
        count(CASE WHEN kind = 'replay' THEN 1 END) AS replays,
        count(CASE WHEN kind = 'test' THEN 1 END) AS tests
    FROM deliveries GROUP BY subscription_id
) d ON d.subscription_id = s.id
ORDER BY s.organisation_id, s.id""")
_TOTALS = text("""
SELECT o.id, o.name, CAST(o.purged_matches + coalesce(e.n, 0) AS BIGINT),
    CAST(coalesce(d.n, 0) + coalesce(s.n, 0) AS BIGINT)
FROM organisations o
LEFT JOIN (SELECT organisation_id, sum(matches) AS n FROM events GROUP BY organisation_id) e
    ON e.organisation_id = o.id
LEFT JOIN (SELECT organisation_id, count(*) AS n FROM deliveries WHERE original IS TRUE GROUP BY organisation_id) d
    ON d.organisation_id = o.id
LEFT JOIN (SELECT organisation_id, sum(purged_succeeded + purged_dead) AS n FROM subscriptions
    GROUP BY organisation_id) s ON s.organisation_id = o.id
ORDER BY o.id""")


def accounts(connection: Connection) -> list[Account]:
    return [Account(*row) for row in connection.execute(_ACCOUNTS)]


def totals(connection: Connection) -> list[Total]:
    return [Total(*row) for row in connection.execute(_TOTALS)]


def findings(connection: Connection) -> Iterator[Finding]:
    """The rules that do not hold; none, most likely."""
    numbers = iter(connection.execute(_ROWS).one())
    for (name, about, _), count, example in zip(ROWS, numbers, numbers, strict=False):
        if count:
            yield Finding(name, about, count, example)
    for check in CHECKS:
        count, example = connection.execute(text(f"SELECT count(*), min(id) FROM ({check.broken}) AS found")).one()
        if count:
            yield Finding(check.name, check.about, count, example)
