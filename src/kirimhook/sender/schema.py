"""The tables of a sender, for SQLite and PostgreSQL alike. Times are milliseconds since the epoch.

An event is written once. A delivery is what is listed: its row changes when an attempt ends. What is still open
has a row in the narrow table `queue` as well, and that is all the engine looks for work in; settled means no row
there. `due_at` is both due time and end of lease, so nothing sweeps.

Rows that grow without bound have no foreign keys: `kirimhook sender ledger` checks what they would.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

organisations = Table(
    "organisations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
    # What retention removed, so that the ledger still balances.
    Column("purged_matches", BigInteger, nullable=False, server_default="0"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", ForeignKey(organisations.c.id), nullable=False, index=True),
    Column("digest", LargeBinary, nullable=False, unique=True),  # SHA-256 of the key
    Column("first", Text, nullable=False),
    Column("last", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", ForeignKey(organisations.c.id), nullable=False),
    Column("url", Text, nullable=False),
    Column("description", Text),
    Column("status", Text, nullable=False),
    Column("disabled_reason", Text),
    Column("failures", Integer, nullable=False, server_default="0"),  # deliveries that died in a row
    Column("held", Integer, nullable=False, server_default="0"),  # open deliveries, while it is disabled
    Column("version", Integer, nullable=False, server_default="1"),  # goes up with url, status and secrets
    Column("created_at", BigInteger, nullable=False),
    Column("deleted_at", BigInteger),
    # What retention removed, by how it had ended.
    Column("purged_succeeded", BigInteger, nullable=False, server_default="0"),
    Column("purged_dead", BigInteger, nullable=False, server_default="0"),
    Index(None, "organisation_id", "id"),
)

subscribed_types = Table(
    "subscribed_types",
    metadata,
    Column("organisation_id", Text, primary_key=True),
    Column("event_type", Text, primary_key=True),
    Column("subscription_id", ForeignKey(subscriptions.c.id), primary_key=True),
    Column("position", SmallInteger, nullable=False),
    Index(None, "subscription_id"),
)

secrets = Table(
    "secrets",
    metadata,
    Column("id", Text, primary_key=True),
    Column("subscription_id", ForeignKey(subscriptions.c.id), nullable=False, index=True),
    Column("sealed", LargeBinary, nullable=False),  # under the master key
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
)

events = Table(
    "events",
    metadata,
    Column("id", Text, primary_key=True),  # ours alone: a ULID. `event_id` is what travels
    Column("organisation_id", Text, nullable=False),
    Column("dedupe_key", LargeBinary, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("size", Integer, nullable=False),
    Column("matches", Integer, nullable=False),  # original deliveries it made
    Column("created_at", BigInteger, nullable=False),
    Column("erased_at", BigInteger),  # since then without a body and an id
    UniqueConstraint("organisation_id", "dedupe_key"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Text, primary_key=True),  # a ULID: in the order of creation
    Column("organisation_id", Text, nullable=False),
    Column("subscription_id", Text, nullable=False),
    Column("event", Text, nullable=False),  # events.id
    Column("event_id", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("original", Boolean),  # true or null: one original for an event and a subscription
    Column("status", Text, nullable=False),
    Column("dead_reason", Text),
    Column("attempt_count", SmallInteger, nullable=False, server_default="0"),
    Column("max_attempts", SmallInteger, nullable=False),
    Column("next_attempt_at", BigInteger),
    Column("last_attempt_at", BigInteger),
    Column("response_status", SmallInteger),
    Column("last_error", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    Column("replayed_from", Text),
    Column("replayed_by", Text),
    Index("uq_deliveries_event", "event", "subscription_id", "original", unique=True),
    Index(None, "organisation_id", "id"),
    Index(None, "subscription_id", "id"),
    Index(
        "ix_deliveries_failing_organisation",
        "organisation_id",
        "status",
        "id",
        postgresql_where=text("status IN ('failed', 'dead')"),
        sqlite_where=text("status IN ('failed', 'dead')"),
    ),
    Index(
        "ix_deliveries_failing_subscription",
        "subscription_id",
        "status",
        "id",
        postgresql_where=text("status IN ('failed', 'dead')"),
        sqlite_where=text("status IN ('failed', 'dead')"),
    ),
    Index(  # or a bulk replay of what is unreplayed would walk through all that was replayed before it;
        # in other words than the last, so that SQLite never takes that one for it
        "ix_deliveries_unreplayed",
        "subscription_id",
        "status",
        "id",
        postgresql_where=text("replayed_by IS NULL AND status IN ('dead', 'failed')"),
        sqlite_where=text("replayed_by IS NULL AND status IN ('dead', 'failed')"),
    ),
    Index(
        "ix_deliveries_unreplayed_organisation",
        "organisation_id",
        "status",
        "id",
        postgresql_where=text("replayed_by IS NULL AND status IN ('dead', 'failed')"),
        sqlite_where=text("replayed_by IS NULL AND status IN ('dead', 'failed')"),
    ),
)

queue = Table(
    "queue",
    metadata,
    Column("delivery_id", Text, primary_key=True),
    Column("subscription_id", Text, nullable=False),
    Column("rank", SmallInteger, nullable=False),  # model.Rank
    Column("due_at", BigInteger, nullable=False),  # or the end of the lease that `token` stands for
    Column("token", Text),
    Column("attempts", SmallInteger, nullable=False, server_default="0"),  # that ended
    Index("ix_queue_due", "subscription_id", "rank", "due_at"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("delivery_id", Text, primary_key=True),
    Column("number", SmallInteger, primary_key=True),
    Column("record", Text, nullable=False),  # contract.resources.Attempt as JSON
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("organisation_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),  # of method, path and canonical body
    Column("status", SmallInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),  # the answer's body, which can hold a secret
    Column("created_at", BigInteger, nullable=False, index=True),
)

notices = Table(  # one row is the turn of who tells (store.notices)
    "notices",
    metadata,
    Column("id", Text, primary_key=True),
    Column("notice", Text, nullable=False),  # telling.Notice as JSON
    Column("due_at", BigInteger, nullable=False, index=True),  # when it happened, or when the turn is free
    Column("attempts", SmallInteger, nullable=False, server_default="0"),
)

sessions = Table(  # of the dashboard
    "sessions",
    metadata,
    Column("digest", LargeBinary, primary_key=True),  # SHA-256 of what the cookie holds
    Column("organisation_id", Text, nullable=False),
    Column("key_id", Text, nullable=False),  # that signed in: its end is the session's
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
)

minutes = Table(  # what came of attempts, for people to look at; the account is `store.ledger`
    "minutes",
    metadata,
    Column("organisation_id", Text, primary_key=True),
    Column("minute", BigInteger, primary_key=True, index=True),  # since the epoch, in minutes
    Column("subscription_id", Text, primary_key=True),  # or "": the sum over the organisation
    Column("writer", Text, primary_key=True),  # no two write one row
    Column("succeeded", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("dead", Integer, nullable=False),
    Column("latencies", Text, nullable=False),  # JSON: how many successes by bucket of the time since the publish
)

replay_runs = Table(  # replays of all that match, step by step
    "replay_runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", Text, nullable=False),
    Column("sought", Text, nullable=False),  # the filter, as JSON
    Column("until", Text, nullable=False),  # the id before which: what dies again is not taken in
    Column("after", Text),  # the id up to which it has come
    Column("status", Text, nullable=False),  # model.RunStatus
    Column("matched", Integer),  # how many there were when it was begun; null: more than were counted
    Column("enqueued", Integer, nullable=False, server_default="0"),
    Column("skipped", Integer, nullable=False, server_default="0"),
    Column("created_at", BigInteger, nullable=False),
    Column("moved_at", BigInteger, nullable=False),
    Index("ix_replay_runs_status", "status", "moved_at"),
    Index(None, "organisation_id", "id"),
)

replay_steps = Table(  # what each step of a run made: deliveries whose ids follow each other
    "replay_steps",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("first", Text, primary_key=True),
    Column("last", Text, nullable=False),
    Column("deliveries", Integer, nullable=False),
)

seals = Table(
    "seals",
    metadata,
    Column("id", SmallInteger, primary_key=True),  # one row: something sealed, to know a wrong master key by
    Column("sealed", LargeBinary, nullable=False),
)
