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
        SELECT w.number, w.lane, f.state, EXISTS (SELECT FROM {{schema}}.payloads p WHERE p.number = w.number) AS whole
        FROM unnest(wanted, lanes) AS w (number, lane) JOIN {{schema}}.finished f ON f.number = w.number
        WHERE f.state = ANY (states)),
    chosen AS MATERIALIZED (SELECT * FROM found WHERE whole),
    gone AS (DELETE FROM {{schema}}.finished f USING chosen c WHERE f.number = c.number),
    counted AS (
        UPDATE {{schema}}.tally t SET events = t.events - c.events
        FROM (SELECT state, count(*) AS events FROM chosen GROUP BY state) c WHERE t.state = c.state),
    queued AS (
        INSERT INTO {{schema}}.queue (number, lane, visible_at)
        SELECT c.number, c.lane,
               CASE WHEN c.lane IS NULL THEN at_now
                    WHEN row_number() OVER (PARTITION BY c.lane ORDER BY c.number) > 1 THEN NULL
                    WHEN EXISTS (SELECT FROM {{schema}}.queue q WHERE q.lane = c.lane) THEN NULL
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
        JOIN {{schema}}.events e ON e.number = p.number LEFT JOIN {{schema}}.finished f ON f.number = p.number),
    gone AS (DELETE FROM {{schema}}.payloads p USING looked l WHERE p.number = l.number AND l.old)
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
        LEFT JOIN {{schema}}.finished f ON f.number = e.number),
    erased AS (DELETE FROM {{schema}}.payloads p USING looked l WHERE p.number = l.number AND l.old),
    forgotten AS (DELETE FROM {{schema}}.finished f USING looked l WHERE f.number = l.number AND l.old),
    gone AS (DELETE FROM {{schema}}.events e USING looked l WHERE e.number = l.number AND l.old),
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
