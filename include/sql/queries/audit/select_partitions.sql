-- The tables that candles are in, the ones that bear the name of a month and are not among them, and the ledger's
-- triggers that stand on each. Bounds in ms; NULL where a table has none that are times.
SELECT c.relname AS name, kind.kind,
       epoch_ms(bounds.ends[1]) AS first_ms, epoch_ms(bounds.ends[2]) AS past_ms,
       bounds.ends[1] = date_trunc('month', bounds.ends[1], 'UTC')
           AND bounds.ends[2] = date_trunc('month', bounds.ends[1] + interval '32 days', 'UTC') AS is_month,
       to_char(bounds.ends[1] AT TIME ZONE 'UTC', '"candles_y"YYYY"m"MM') AS proper_name,
       ARRAY (
           SELECT w.name FROM unnest(ARRAY['add_to_held', 'remove_from_held', 'move_in_held', 'empty_held']) AS w (name)
           WHERE NOT EXISTS (
               SELECT FROM pg_trigger AS t
               WHERE t.tgrelid = c.oid AND t.tgname = w.name AND t.tgenabled IN ('O', 'A'))
       ) AS missing_triggers
FROM pg_class AS c
LEFT JOIN pg_inherits AS h ON h.inhrelid = c.oid AND h.inhparent = 'backfill.candles'::regclass
CROSS JOIN LATERAL (
    SELECT CASE WHEN c.oid = 'backfill.candles'::regclass THEN 'parent'
                WHEN h.inhparent IS NULL THEN 'detached'
                WHEN pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT' THEN 'default'
                ELSE 'partition' END AS kind
) AS kind
CROSS JOIN LATERAL (
    SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid), $$FROM \('([^']+)'\) TO \('([^']+)'\)$$)::timestamptz[] AS ends
) AS bounds
WHERE c.oid = 'backfill.candles'::regclass OR h.inhparent IS NOT NULL
   OR (c.relnamespace = 'backfill'::regnamespace AND c.relkind = 'r'
       AND (c.relname ~ '^candles_y\d{4}m\d\d$' OR c.relname = 'candles_default'))
ORDER BY kind.kind, c.relname
