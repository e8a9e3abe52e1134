"""settle(…): end events of a batch in which no number comes twice. conclude(…): one, or the transaction fails.
bears(…): whether an event has this lease.

Settlements that go on from one to the next under one lease bear one `chain`. Such a one holds when it bears the
lease itself, or when the one before it in its chain held and is of the same lane.
"""

from __future__ import annotations

from kirimhook.backends.postgres.functions.shape import PLANS, WORK, lock

ENDS = "('done', 'parked', 'unhandled', 'skipped')"
LOST = "KH001"
"""SQLSTATE of `conclude` for a lease that was lost."""

SETTLE = f"""
CREATE FUNCTION {{schema}}.settle(
    at_now bigint, tokens bigint[], settled bigint[], thens bigint[], chains integer[], kinds text[], ats bigint[],
    reasons text[])
RETURNS boolean[] LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    answer boolean[];
    freed bigint[];
    kept_lanes bigint[];
    kept_numbers bigint[];
BEGIN
    WITH asked AS MATERIALIZED (
        SELECT s.*, q.ctid AS row, q.number IS NOT NULL AS is_known, q.lane, q.visible_at, q.attempts, q.crashes,
               q.reason AS kept,
               coalesce(q.token = s.token, false) AS bears
        FROM unnest(tokens, settled, thens, chains, kinds, ats, reasons) WITH ORDINALITY
            AS s (token, number, next, chain, kind, at, reason, place)
        LEFT JOIN LATERAL (SELECT t.ctid, t.* FROM {{schema}}.queue t WHERE t.number = s.number LIMIT 1) q ON true),
    linked AS (
        SELECT *, count(*) FILTER (WHERE is_cut) OVER (PARTITION BY chain ORDER BY place) AS stretch
        FROM (SELECT *, NOT is_known OR (lag(lane) OVER (PARTITION BY chain ORDER BY place) = lane) IS NOT TRUE
                        AS is_cut FROM asked) a),
    judged AS MATERIALIZED (
        SELECT l.*, l.held AND l.kind IN {ENDS} AS has_ended, l.held AND l.kind NOT IN {ENDS} AS is_delayed,
               CASE WHEN l.held AND NOT l.goes_on AND l.lane IS NOT NULL AND l.kind IN {ENDS} THEN (
                   SELECT t.ctid FROM {{schema}}.queue t WHERE t.number = l.next AND t.lane + 0 = l.lane) END AS taker
        FROM (SELECT *, is_known AND bool_or(bears) OVER w AS held,
                     max(visible_at) FILTER (WHERE bears) OVER w AS until,
                     lead(number) OVER (PARTITION BY chain, stretch ORDER BY place) IS NOT NULL AS goes_on
              FROM linked WINDOW w AS (PARTITION BY chain, stretch ORDER BY place)) l),
    ended AS (SELECT * FROM judged WHERE has_ended),
    gone AS (DELETE FROM {{schema}}.queue WHERE number = ANY (ARRAY(SELECT number FROM ended))),
    finished AS (
        INSERT INTO {{schema}}.finished (number, state, at, attempts, reason)
        SELECT number, kind, at_now, attempts + (kind IN ('done', 'parked'))::integer, reason FROM ended),
    counted AS (
        UPDATE {{schema}}.tally t SET events = t.events + c.events
        FROM (SELECT kind, count(*) AS events FROM ended GROUP BY kind) c WHERE t.state = c.kind),
    delayed AS (
        UPDATE {{schema}}.queue q SET token = NULL,
            visible_at = CASE WHEN j.kind = 'released' THEN at_now ELSE j.at END,
            attempts = j.attempts + (j.kind = 'retry')::integer,
            crashes = CASE WHEN j.kind = 'released' THEN j.crashes ELSE 0 END,
            reason = CASE WHEN j.kind = 'retry' THEN j.reason ELSE j.kept END
        FROM judged j WHERE q.ctid = j.row AND j.is_delayed),
    carried AS (
        UPDATE {{schema}}.queue q SET token = e.token, visible_at = e.until
        FROM judged e WHERE q.ctid = e.taker AND e.taker IS NOT NULL)
    SELECT array_agg(held ORDER BY place),
           array_agg(lane) FILTER (WHERE has_ended AND NOT goes_on AND taker IS NULL AND lane IS NOT NULL),
           array_agg(lane) FILTER (WHERE taker IS NOT NULL OR is_delayed),
           array_agg(CASE WHEN taker IS NULL THEN number ELSE next END) FILTER (WHERE taker IS NOT NULL OR is_delayed)
    INTO answer, freed, kept_lanes, kept_numbers
    FROM judged;
    IF kept_lanes IS NOT NULL THEN  -- whoever has the lane's lease is its head, so nothing before it is due
        UPDATE {{schema}}.queue q SET visible_at = NULL
        FROM unnest(kept_lanes, kept_numbers) AS k (lane, number) CROSS JOIN LATERAL (
            SELECT n.ctid AS row FROM {{schema}}.queue n
            WHERE (n.lane, n.number) >= (k.lane, 0) AND (n.lane, n.number) < (k.lane, k.number)
                  AND n.lane IS NOT NULL AND num_nonnulls(n.visible_at) = 1 OFFSET 0) AS before
        WHERE q.ctid = before.row;
    END IF;
    IF freed IS NOT NULL THEN
        UPDATE {{schema}}.queue q SET visible_at = at_now
        FROM unnest(freed) AS l (lane) CROSS JOIN LATERAL (
            SELECT n.ctid AS row FROM {{schema}}.queue n WHERE n.lane BETWEEN l.lane AND l.lane
            ORDER BY n.lane, n.number LIMIT 1) AS following
        WHERE q.ctid = following.row;
    END IF;
    RETURN answer;
END $$;
"""

CONCLUDE = f"""
CREATE FUNCTION {{schema}}.conclude(
    at_now bigint, token bigint, settled bigint, following bigint, kind text, at bigint, reason text)
RETURNS void LANGUAGE plpgsql {PLANS} AS $$
BEGIN
    {lock(WORK)};
    IF NOT ({{schema}}.settle(at_now, ARRAY[token], ARRAY[settled], ARRAY[following], ARRAY[1], ARRAY[kind],
                              ARRAY[at], ARRAY[reason]))[1] THEN
        RAISE EXCEPTION 'the lease was lost' USING ERRCODE = '{LOST}';
    END IF;
END $$;
"""

BEARS = f"""
CREATE FUNCTION {{schema}}.bears(asked bigint, bearing bigint) RETURNS boolean LANGUAGE plpgsql {PLANS} AS $$
BEGIN
    RETURN coalesce((SELECT q.token = bearing FROM {{schema}}.queue q WHERE q.number = asked), false);
END $$;
"""

SETTLING = (SETTLE, CONCLUDE, BEARS)
