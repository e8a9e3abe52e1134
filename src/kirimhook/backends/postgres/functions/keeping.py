"""pause(…), put_back(…), purge_payloads(…) and purge_records(…): a bounded part of each."""

from __future__ import annotations

from kirimhook.backends.postgres.functions.shape import PLANS, WORK, lock

ERASABLE = "('done', 'unhandled', 'skipped')"

PUT_BACK = f"""
CREATE FUNCTION {{schema}}.put_back(at_now bigint, wanted bigint[], lanes bigint[], states text[])
RETURNS TABLE (back integer, purged integer) LANGUAGE plpgsql {PLANS} AS $$
#variable_conflict use_column
BEGIN
    {lock(WORK)};
    RETURN QUERY
    WITH found AS MATERIALIZED (
        SELECT w.number, w.lane, f.state,
               (SELECT p.number FROM {{schema}}.payloads p WHERE p.number = w.number) IS NOT NULL AS whole
        FROM unnest(wanted, lanes) AS w (number, lane)
        CROSS JOIN LATERAL (SELECT state FROM {{schema}}.finished WHERE number = w.number LIMIT 1) f
        WHERE f.state = ANY (states)),
    chosen AS MATERIALIZED (SELECT * FROM found WHERE whole),
    gone AS (DELETE FROM {{schema}}.finished WHERE number = ANY (ARRAY(SELECT number FROM chosen))),
    counted AS (
        UPDATE {{schema}}.tally t SET events = t.events - c.events
        FROM (SELECT state, count(*) AS events FROM chosen GROUP BY state) c WHERE t.state = c.state),
    queued AS (
        INSERT INTO {{schema}}.queue (number, lane, visible_at)
        SELECT c.number, c.lane,
               CASE WHEN c.lane IS NULL THEN at_now
                    WHEN row_number() OVER (PARTITION BY c.lane ORDER BY c.number) > 1 THEN NULL
                    WHEN (SELECT q.number FROM {{schema}}.queue q WHERE q.lane BETWEEN c.lane AND c.lane LIMIT 1)
                         IS NOT NULL THEN NULL
                    ELSE at_now END
        FROM chosen c)
    SELECT count(*) FILTER (WHERE whole)::integer, count(*) FILTER (WHERE NOT whole)::integer FROM found;
END $$;
"""

PURGE_PAYLOADS = f"""
CREATE FUNCTION {{schema}}.purge_payloads(beyond bigint, most integer, horizon bigint)
RETURNS TABLE (removed integer, looked integer, last bigint, arrived bigint) LANGUAGE plpgsql {PLANS} AS $$
#variable_conflict use_column
BEGIN
    {lock(WORK)};
    RETURN QUERY
    WITH looked AS MATERIALIZED (
        SELECT p.number, e.received_at, f.state IN {ERASABLE} AND f.at < horizon AS old
        FROM (SELECT number FROM {{schema}}.payloads WHERE number > beyond ORDER BY number LIMIT most) p
        CROSS JOIN LATERAL (SELECT received_at FROM {{schema}}.events WHERE number = p.number LIMIT 1) e
        LEFT JOIN LATERAL (SELECT state, at FROM {{schema}}.finished WHERE number = p.number LIMIT 1) f ON true),
    gone AS (DELETE FROM {{schema}}.payloads WHERE number = ANY (ARRAY(SELECT number FROM looked WHERE old)))
    SELECT count(*) FILTER (WHERE old)::integer, count(*)::integer, max(number),
           (array_agg(received_at ORDER BY number DESC))[1]
    FROM looked;
END $$;
"""

PURGE_RECORDS = f"""
CREATE FUNCTION {{schema}}.purge_records(beyond bigint, most integer, horizon bigint, ended_before bigint)
RETURNS TABLE (removed integer, looked integer, last bigint, arrived bigint) LANGUAGE plpgsql {PLANS} AS $$
#variable_conflict use_column
BEGIN
    {lock(WORK)};
    RETURN QUERY
    WITH looked AS MATERIALIZED (
        SELECT e.number, e.received_at, f.state,
               f.state IN {ERASABLE} AND e.received_at < horizon AND f.at < ended_before AS old
        FROM (SELECT number, received_at FROM {{schema}}.events WHERE number > beyond ORDER BY number LIMIT most) e
        LEFT JOIN LATERAL (SELECT state, at FROM {{schema}}.finished WHERE number = e.number LIMIT 1) f ON true),
    erased AS (DELETE FROM {{schema}}.payloads WHERE number = ANY (ARRAY(SELECT number FROM looked WHERE old))),
    forgotten AS (DELETE FROM {{schema}}.finished WHERE number = ANY (ARRAY(SELECT number FROM looked WHERE old))),
    gone AS (DELETE FROM {{schema}}.events WHERE number = ANY (ARRAY(SELECT number FROM looked WHERE old))),
    counted AS (
        UPDATE {{schema}}.tally t SET events = t.events - c.events
        FROM (SELECT state, count(*) AS events FROM looked WHERE old GROUP BY state) c WHERE t.state = c.state)
    SELECT count(*) FILTER (WHERE old)::integer, count(*)::integer, max(number),
           (array_agg(received_at ORDER BY number DESC))[1]
    FROM looked;
END $$;
"""

PAUSE = f"""
CREATE FUNCTION {{schema}}.pause(since text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    {lock(WORK)};
    INSERT INTO {{schema}}.control VALUES ('paused', since) ON CONFLICT (name) DO NOTHING;
END $$;
"""

KEEPING = (PAUSE, PUT_BACK, PURGE_PAYLOADS, PURGE_RECORDS)
