-- The monthly partitions that are over and that no window reaches into, oldest first, in ms.
WITH months AS MATERIALIZED (
    SELECT c.relname AS name, bounds.ends[1] AS first, bounds.ends[2] AS past
    FROM pg_inherits AS h JOIN pg_class AS c ON c.oid = h.inhrelid
    CROSS JOIN LATERAL (
        SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid), $$FROM \('([^']+)'\) TO \('([^']+)'\)$$)::timestamptz[] AS ends
    ) AS bounds
    WHERE h.inhparent = 'backfill.candles'::regclass AND bounds.ends IS NOT NULL
)
SELECT name, epoch_ms(first) AS first_ms, epoch_ms(past) AS past_ms
FROM months
WHERE past <= %(at)s::timestamptz
  AND NOT EXISTS (SELECT FROM windows_at(%(at)s, %(settle_ms)s) AS w
                  WHERE w.start_ms < epoch_ms(months.past) AND w.end_ms > epoch_ms(months.first))
ORDER BY first
