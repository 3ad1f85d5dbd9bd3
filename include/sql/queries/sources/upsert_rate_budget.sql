-- The limits of a source as this version knows them; what has been handed out stays counted.
INSERT INTO rate_budgets (source_id, pool, limits, periods_ms, spacing_ms)
VALUES (%(source_id)s, %(pool)s, %(limits)s, %(periods_ms)s, %(spacing_ms)s)
ON CONFLICT (source_id, pool) DO UPDATE
SET limits = excluded.limits, periods_ms = excluded.periods_ms, spacing_ms = excluded.spacing_ms
WHERE (rate_budgets.limits, rate_budgets.periods_ms, rate_budgets.spacing_ms)
   IS DISTINCT FROM (excluded.limits, excluded.periods_ms, excluded.spacing_ms)
