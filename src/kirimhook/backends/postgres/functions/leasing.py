"""lease(…), renew(…) and work(…): settle, renew and lease in one transaction. next_due(): for who waits."""

from __future__ import annotations

from kirimhook.backends.postgres.functions.shape import PLANS, WORK, lock

FOUND = """number bigint, attempt integer, dedupe_key bytea, event_id text, type text, source text,
    ordering_key text, livemode boolean, problem text, delivery_id text, received_at bigint, body bytea"""
FIRST = """
SELECT n.number FROM {schema}.queue n
WHERE n.lane BETWEEN q.lane AND q.lane AND num_nonnulls(n.visible_at) = 1 ORDER BY n.lane, n.number LIMIT 1"""
"""The head of the lane of `q`. Written so that one index alone can answer it: that of lanes."""
OF_D = "LATERAL (SELECT t.ctid AS row, t.* FROM {schema}.queue t WHERE t.number = d.number LIMIT 1)"
"""The row of the number in `d`."""
PASSES, WINDOW = 20, 1000
"""A lease takes the due time of so many times so many rows at most, that are due and behind their heads: there can be
a million after a day without a worker. The next one goes on."""

LEASE = f"""
CREATE FUNCTION {{schema}}.lease(
    at_now bigint, until bigint, bearing bigint, most integer, longest integer, most_bytes bigint,
    suspect_after integer)
RETURNS TABLE (head bigint, suspect boolean, {FOUND}) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    due bigint[];
    behind bigint[];
    looked integer := most;
    passes integer := 0;
    suspected bigint;
BEGIN
    IF EXISTS (SELECT FROM {{schema}}.control WHERE name = 'paused') THEN
        RETURN;
    END IF;
    LOOP
        SELECT array_agg(q.number ORDER BY q.visible_at, q.number) FILTER (WHERE q.first = q.number),
               array_agg(q.number) FILTER (WHERE q.first <> q.number)
        INTO due, behind
        FROM (SELECT q.number, q.visible_at, CASE WHEN q.lane IS NULL THEN q.number ELSE ({FIRST}) END AS first
              FROM {{schema}}.queue q WHERE q.visible_at <= at_now ORDER BY q.visible_at, q.number LIMIT looked) q;
        EXIT WHEN behind IS NULL;
        UPDATE {{schema}}.queue SET visible_at = NULL WHERE number = ANY (behind);
        passes := passes + 1;
        EXIT WHEN cardinality(due) >= most OR passes = {PASSES};
        looked := greatest(looked, {WINDOW});
    END LOOP;
    due := due[1:most];
    SELECT q.number INTO suspected FROM unnest(due) WITH ORDINALITY AS d (number, place) CROSS JOIN {OF_D} q
    WHERE q.crashes + num_nonnulls(q.token) >= suspect_after ORDER BY d.place LIMIT 1;
    IF suspected IS NOT NULL THEN
        due := ARRAY[suspected];
        longest := 1;
    END IF;
    RETURN QUERY
    WITH runs AS MATERIALIZED (
        SELECT d.place, q.row, d.number AS head, q.number, q.attempts + num_nonnulls(q.token) AS attempts
        FROM unnest(due) WITH ORDINALITY AS d (number, place) CROSS JOIN {OF_D} q
        UNION ALL
        SELECT d.place, NULL, d.number, f.number, f.attempts
        FROM unnest(due) WITH ORDINALITY AS d (number, place) CROSS JOIN {OF_D} q CROSS JOIN LATERAL (
            SELECT n.number, n.attempts FROM {{schema}}.queue n
            WHERE n.lane BETWEEN q.lane AND q.lane AND n.number <> q.number
            ORDER BY n.lane, n.number LIMIT longest - 1) f
        WHERE q.lane IS NOT NULL AND longest > 1),
    taken AS MATERIALIZED (
        SELECT * FROM (
            SELECT r.row, r.head, r.attempts, e.*, p.body,
                   row_number() OVER w AS position, sum(octet_length(p.body)) OVER w AS weight
            FROM runs r
            CROSS JOIN LATERAL (SELECT * FROM {{schema}}.events WHERE number = r.number LIMIT 1) e
            CROSS JOIN LATERAL (SELECT body FROM {{schema}}.payloads WHERE number = r.number LIMIT 1) p
            WINDOW w AS (ORDER BY r.place, r.number <> r.head, r.number)) t
        WHERE t.position = 1 OR t.weight <= most_bytes),
    marked AS (
        UPDATE {{schema}}.queue q SET token = bearing, visible_at = until, attempts = t.attempts,
            crashes = q.crashes + num_nonnulls(q.token)
        FROM taken t WHERE q.ctid = t.row AND t.row IS NOT NULL)
    SELECT t.head, suspected IS NOT NULL, t.number, t.attempts + 1, t.dedupe_key, t.event_id, t.type, t.source,
           t.ordering_key, t.livemode, t.problem, t.delivery_id, t.received_at, t.body
    FROM taken t ORDER BY t.position;
END $$;
"""

RENEW = """
CREATE FUNCTION {schema}.renew(tokens bigint[], held bigint[], untils bigint[])
RETURNS boolean[] LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    answer boolean[];
BEGIN
    WITH asked AS MATERIALIZED (
        SELECT a.place, a.token, a.until, CASE WHEN q.token = a.token OR q.lane IS NULL THEN q.number ELSE (
            SELECT n.number FROM {schema}.queue n
            WHERE n.lane BETWEEN q.lane AND q.lane AND num_nonnulls(n.visible_at) = 1
            ORDER BY n.lane, n.number LIMIT 1) END AS head
        FROM unnest(tokens, held, untils) WITH ORDINALITY AS a (token, number, until, place)
        LEFT JOIN LATERAL (SELECT * FROM {schema}.queue t WHERE t.number = a.number LIMIT 1) q ON true),
    found AS MATERIALIZED (
        SELECT a.place, a.until, (
            SELECT q.ctid FROM {schema}.queue q WHERE q.number = a.head AND q.token = a.token) AS row
        FROM asked a),
    renewed AS (
        UPDATE {schema}.queue q SET visible_at = f.until
        FROM (SELECT row, max(until) AS until FROM found GROUP BY row) f WHERE q.ctid = f.row)
    SELECT array_agg(f.row IS NOT NULL ORDER BY f.place) INTO answer FROM found f;
    RETURN answer;
END $$;
"""

ONE_BATCH = f"""
CREATE FUNCTION {{schema}}.work(
    at_now bigint,
    tokens bigint[], settled bigint[], thens bigint[], chains integer[], kinds text[], ats bigint[], reasons text[],
    renewed_tokens bigint[], renewed_numbers bigint[], renewed_untils bigint[],
    until bigint, bearing bigint, most integer, longest integer, most_bytes bigint, suspect_after integer)
RETURNS TABLE (held boolean[], renewed boolean[], head bigint, suspect boolean, {FOUND}) LANGUAGE plpgsql {PLANS} AS $$
#variable_conflict use_column
BEGIN
    {lock(WORK)};
    IF cardinality(settled) > 0 THEN
        held := {{schema}}.settle(at_now, tokens, settled, thens, chains, kinds, ats, reasons);
    END IF;
    IF cardinality(renewed_tokens) > 0 THEN
        renewed := {{schema}}.renew(renewed_tokens, renewed_numbers, renewed_untils);
    END IF;
    RETURN NEXT;
    IF most > 0 THEN
        RETURN QUERY SELECT NULL::boolean[], NULL::boolean[], l.*
        FROM {{schema}}.lease(at_now, until, bearing, most, longest, most_bytes, suspect_after) l;
    END IF;
END $$;
"""

NEXT_DUE = f"""
CREATE FUNCTION {{schema}}.next_due() RETURNS bigint LANGUAGE plpgsql {PLANS} AS $$
DECLARE
    soonest bigint;
BEGIN
    IF EXISTS (SELECT FROM {{schema}}.control WHERE name = 'paused') THEN
        RETURN NULL;
    END IF;
    SELECT c.visible_at INTO soonest FROM (
        SELECT q.visible_at, q.number, q.lane IS NULL OR q.number = ({FIRST}) AS is_head FROM {{schema}}.queue q
        WHERE q.visible_at IS NOT NULL ORDER BY q.visible_at, q.number LIMIT {WINDOW}) c
    WHERE c.is_head LIMIT 1;
    IF NOT FOUND THEN  -- of so many a lease has to look at each
        SELECT q.visible_at INTO soonest FROM {{schema}}.queue q WHERE q.visible_at IS NOT NULL
        ORDER BY q.visible_at, q.number OFFSET {WINDOW} LIMIT 1;
    END IF;
    RETURN soonest;
END $$;
"""

LEASING = (LEASE, RENEW, ONE_BATCH, NEXT_DUE)
