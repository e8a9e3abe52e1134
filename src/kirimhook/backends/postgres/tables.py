"""The tables. `{schema}` is the inbox's own.

An event is written once and never updated. What is unfinished has a row in the narrow `queue`; finished means
a row in `finished` and none in `queue`. `visible_at` is both due time and lease expiry, so nothing sweeps.

Of the rows of a lane, the one that is at work or due is its head: the lowest number that has a `visible_at`. A put
gives each new row a `visible_at`, without looking, so it never waits for those who lease; who finds a row due that is
not its lane's head takes its `visible_at` away. When the head ends, the lowest number of its lane is due.
"""

from __future__ import annotations

TABLES = """
CREATE TABLE {schema}.version (number integer NOT NULL);
CREATE SEQUENCE {schema}.numbers;
CREATE TABLE {schema}.events (
    number       bigint PRIMARY KEY,  -- commit order, never used twice
    dedupe_key   bytea NOT NULL UNIQUE,
    event_id     text NOT NULL,
    type         text NOT NULL,
    source       text NOT NULL,
    ordering_key text,
    livemode     boolean NOT NULL,
    problem      text,
    delivery_id  text NOT NULL,
    received_at  bigint NOT NULL      -- times are milliseconds since the epoch
);
CREATE TABLE {schema}.payloads (
    number bigint PRIMARY KEY,
    body   bytea NOT NULL
);
CREATE TABLE {schema}.queue (
    number     bigint PRIMARY KEY,
    lane       bigint,                -- digest of the ordering key
    visible_at bigint,                -- due, or end of lease; null: behind the head of its lane
    token      bigint,                -- of the lease
    attempts   integer NOT NULL DEFAULT 0,
    crashes    integer NOT NULL DEFAULT 0,  -- leases that ran out since the last attempt that ended
    reason     text
) WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
    autovacuum_vacuum_insert_scale_factor = 0.5, autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX queue_lane ON {schema}.queue (lane, number) WHERE lane IS NOT NULL;
CREATE INDEX queue_due ON {schema}.queue (visible_at, number) WHERE visible_at IS NOT NULL;
CREATE TABLE {schema}.finished (
    number   bigint PRIMARY KEY,
    state    text NOT NULL,
    at       bigint NOT NULL,
    attempts integer NOT NULL,
    reason   text
);
CREATE INDEX finished_notable ON {schema}.finished (state, number) WHERE state <> 'done';
CREATE TABLE {schema}.tally (state text PRIMARY KEY, events bigint NOT NULL) WITH (fillfactor = 20);
INSERT INTO {schema}.tally VALUES ('done', 0), ('parked', 0), ('unhandled', 0), ('skipped', 0);
CREATE TABLE {schema}.sources (name text PRIMARY KEY);  -- other than the documented ones
CREATE TABLE {schema}.control (name text PRIMARY KEY, value text);
"""
BOOKMARKS = "CREATE TABLE {schema}.bookmarks (name text PRIMARY KEY, value text NOT NULL)"
"""From version 2 on."""
SOURCES = ("meta", "kirim", "")
"""Those of the contract, and none; `sources` holds the others that came."""
