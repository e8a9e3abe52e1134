"""put(…): claim and store a batch. Says which of its events are not fresh. adopt(…): the same for another's events."""

from __future__ import annotations

from kirimhook.backends.postgres.functions.shape import PLANS, PUTS, WAITS, WORK, lock, place

COLUMNS = "number, dedupe_key, event_id, type, source, ordering_key, livemode, problem, delivery_id, received_at"
STORED = "(SELECT e.number FROM {schema}.events e WHERE e.number = a.number)"

PUT = f"""
CREATE FUNCTION {{schema}}.put(
    arrived bigint, keys bytea[], ids text[], types text[], origins text[], orderings text[], lives boolean[],
    problems text[], deliveries text[], times bigint[], bodies bytea[], lanes bigint[], dues bigint[], others text[])
RETURNS TABLE (place integer, is_parked boolean) LANGUAGE plpgsql {PLANS} AS $$
#variable_conflict use_column
DECLARE
    wanted CONSTANT integer := cardinality(keys);
    numbers bigint[];
    stored integer;
BEGIN
    {lock(PUTS)};
    IF cardinality(others) > 0 THEN
        INSERT INTO {{schema}}.sources SELECT unnest(others) ON CONFLICT DO NOTHING;
    END IF;
    numbers := ARRAY(SELECT nextval('{{schema}}.numbers') FROM generate_series(1, wanted));
    INSERT INTO {{schema}}.events ({COLUMNS})
    SELECT * FROM unnest(numbers, keys, ids, types, origins, orderings, lives, problems, deliveries, times)
    ON CONFLICT (dedupe_key) DO NOTHING;
    GET DIAGNOSTICS stored = ROW_COUNT;
    IF stored = wanted THEN
        INSERT INTO {{schema}}.payloads (number, body) SELECT * FROM unnest(numbers, bodies);
        INSERT INTO {{schema}}.queue (number, lane, visible_at) SELECT * FROM unnest(numbers, lanes, dues);
    ELSE
        INSERT INTO {{schema}}.payloads (number, body)
        SELECT a.number, a.body FROM unnest(numbers, bodies) AS a (number, body) WHERE {STORED} IS NOT NULL;
        INSERT INTO {{schema}}.queue (number, lane, visible_at)
        SELECT a.number, a.lane, arrived FROM unnest(numbers, lanes) AS a (number, lane) WHERE {STORED} IS NOT NULL;
        RETURN QUERY
        SELECT a.place::integer, coalesce((
            SELECT f.state = 'parked' FROM {{schema}}.finished f WHERE f.number = (
                SELECT k.number FROM {{schema}}.events k WHERE k.dedupe_key = a.dedupe_key)), false)
        FROM unnest(numbers, keys) WITH ORDINALITY AS a (number, dedupe_key, place) WHERE {STORED} IS NULL;
    END IF;
    IF stored > 0 AND NOT pg_try_advisory_xact_lock({place(WAITS)}) THEN
        PERFORM pg_notify('{{schema}}', '');
    END IF;
END $$;
"""

ADOPT = f"""
CREATE FUNCTION {{schema}}.adopt(
    arrived bigint, keys bytea[], ids text[], types text[], origins text[], orderings text[], lives boolean[],
    problems text[], deliveries text[], times bigint[], bodies bytea[], lanes bigint[], others text[],
    states text[], dues bigint[], tries integer[], reasons text[], ends bigint[])
RETURNS integer LANGUAGE plpgsql {PLANS} AS $$
#variable_conflict use_column
DECLARE
    numbers bigint[];
    stored integer;
BEGIN
    {lock(PUTS)};
    {lock(WORK)};
    INSERT INTO {{schema}}.sources SELECT unnest(others) ON CONFLICT DO NOTHING;
    numbers := ARRAY(SELECT nextval('{{schema}}.numbers') FROM generate_series(1, cardinality(keys)));
    INSERT INTO {{schema}}.events ({COLUMNS})
    SELECT * FROM unnest(numbers, keys, ids, types, origins, orderings, lives, problems, deliveries, times)
    ON CONFLICT (dedupe_key) DO NOTHING;
    GET DIAGNOSTICS stored = ROW_COUNT;
    INSERT INTO {{schema}}.payloads (number, body)
    SELECT a.number, a.body FROM unnest(numbers, bodies) AS a (number, body)
    WHERE a.body IS NOT NULL AND {STORED} IS NOT NULL;
    WITH ended AS (
        INSERT INTO {{schema}}.finished (number, state, at, attempts, reason)
        SELECT a.number, a.state, a.at, a.attempts, a.reason
        FROM unnest(numbers, states, ends, tries, reasons) AS a (number, state, at, attempts, reason)
        WHERE a.state IS NOT NULL AND {STORED} IS NOT NULL
        RETURNING state)
    UPDATE {{schema}}.tally t SET events = t.events + c.events
    FROM (SELECT state, count(*) AS events FROM ended GROUP BY state) c WHERE t.state = c.state;
    INSERT INTO {{schema}}.queue (number, lane, visible_at, attempts, reason)
    SELECT a.number, a.lane,
           CASE WHEN a.lane IS NULL THEN a.due
                WHEN row_number() OVER (PARTITION BY a.lane ORDER BY a.number) > 1 THEN NULL
                WHEN (SELECT q.number FROM {{schema}}.queue q WHERE q.lane BETWEEN a.lane AND a.lane LIMIT 1)
                     IS NOT NULL THEN NULL
                ELSE a.due END,
           a.attempts, a.reason
    FROM unnest(numbers, states, lanes, dues, tries, reasons) AS a (number, state, lane, due, attempts, reason)
    WHERE a.state IS NULL AND {STORED} IS NOT NULL;
    RETURN stored;
END $$;
"""

PUTTING = (PUT, ADOPT)
