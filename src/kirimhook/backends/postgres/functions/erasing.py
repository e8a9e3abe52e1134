"""erase(…): what says whom events are about. known(…): states by dedupe key. move_bookmark(…): compare and set."""

from __future__ import annotations

from kirimhook.backends.postgres.functions.shape import PLANS, WORK, lock

ERASE = f"""
CREATE FUNCTION {{schema}}.erase(wanted bigint[]) RETURNS integer LANGUAGE plpgsql {PLANS} AS $$
DECLARE
    found_numbers bigint[];
BEGIN
    {lock(WORK)};  -- or what is put back meanwhile would be due without a body
    found_numbers := ARRAY(
        SELECT w.number FROM unnest(wanted) AS w (number)
        CROSS JOIN LATERAL (SELECT t.reason FROM {{schema}}.finished t WHERE t.number = w.number LIMIT 1) f
        CROSS JOIN LATERAL (
            SELECT t.event_id, t.delivery_id, t.ordering_key FROM {{schema}}.events t
            WHERE t.number = w.number LIMIT 1) e
        WHERE e.event_id <> '' OR e.delivery_id <> '' OR e.ordering_key IS NOT NULL OR f.reason IS NOT NULL
              OR (SELECT p.number FROM {{schema}}.payloads p WHERE p.number = w.number) IS NOT NULL);
    UPDATE {{schema}}.events SET event_id = '', delivery_id = '', ordering_key = NULL
    WHERE number = ANY (found_numbers);
    UPDATE {{schema}}.finished SET reason = NULL WHERE number = ANY (found_numbers) AND reason IS NOT NULL;
    DELETE FROM {{schema}}.payloads WHERE number = ANY (found_numbers);
    RETURN cardinality(found_numbers);
END $$;
"""

KNOWN = f"""
CREATE FUNCTION {{schema}}.known(at_now bigint, keys bytea[]) RETURNS text[] LANGUAGE plpgsql STABLE {PLANS} AS $$
BEGIN
    RETURN ARRAY(
        SELECT CASE WHEN e.number IS NULL THEN NULL WHEN f.state IS NOT NULL THEN f.state
                    WHEN q.token IS NOT NULL AND q.visible_at > at_now THEN 'running' ELSE 'waiting' END
        FROM unnest(keys) WITH ORDINALITY AS k (key, place)
        LEFT JOIN LATERAL (SELECT t.number FROM {{schema}}.events t WHERE t.dedupe_key = k.key LIMIT 1) e ON true
        LEFT JOIN LATERAL (SELECT t.state FROM {{schema}}.finished t WHERE t.number = e.number LIMIT 1) f ON true
        LEFT JOIN LATERAL (
            SELECT t.token, t.visible_at FROM {{schema}}.queue t WHERE t.number = e.number LIMIT 1) q ON true
        ORDER BY k.place);
END $$;
"""

MOVE_BOOKMARK = """
CREATE FUNCTION {schema}.move_bookmark(which text, was text, goes_to text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF was IS NULL AND goes_to IS NULL THEN
        RETURN NOT EXISTS (SELECT 1 FROM {schema}.bookmarks WHERE name = which);
    ELSIF was IS NULL THEN
        INSERT INTO {schema}.bookmarks (name, value) VALUES (which, goes_to) ON CONFLICT (name) DO NOTHING;
    ELSIF goes_to IS NULL THEN
        DELETE FROM {schema}.bookmarks WHERE name = which AND value = was;
    ELSE
        UPDATE {schema}.bookmarks SET value = goes_to WHERE name = which AND value = was;
    END IF;
    RETURN FOUND;
END $$;
"""

ERASING = (ERASE, KNOWN, MOVE_BOOKMARK)
