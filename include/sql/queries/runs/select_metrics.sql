-- What is measured at the end of a Dag run: name, of which timeframe or source, value. Bars younger than `at` do not count.
WITH state AS (
    SELECT c.timeframe, count(*) AS series, sum(c.missing_candles) AS missing, sum(c.doubtful_candles) AS doubtful,
           100.0 * (1 - sum(c.missing_candles) / nullif(sum(c.expected_candles), 0)) AS coverage
    FROM sync_status_at(%(at)s, %(settle_ms)s) AS c GROUP BY c.timeframe
), holes AS (
    SELECT g.timeframe, count(gap) AS gaps
    FROM gaps_at(%(at)s, %(settle_ms)s) AS g CROSS JOIN LATERAL unnest(g.gaps) AS gap GROUP BY g.timeframe
), run AS (
    SELECT id, sources FROM gap_fill_runs WHERE dag_id = %(dag_id)s AND run_id = %(run_id)s
), answers AS (
    SELECT s.name AS source, sum(a.requests) AS requests, coalesce(sum(a.requests) FILTER (WHERE a.outcome = 'AddressBanned'), 0) AS bans
    FROM source_attempts AS a JOIN run ON run.id = a.fill_run_id JOIN sources AS s ON s.id = a.source_id GROUP BY s.name
), stored AS (
    SELECT key AS source, sum(value::bigint) AS rows FROM run CROSS JOIN LATERAL jsonb_each_text(run.sources) GROUP BY key
), used AS (
    SELECT s.name AS source, max(100.0 * sent.requests / l.most) AS share
    FROM rate_budgets AS b
    JOIN sources AS s ON s.id = b.source_id
    CROSS JOIN LATERAL unnest(b.limits, b.periods_ms) AS l (most, period_ms)
    CROSS JOIN LATERAL (
        SELECT count(*) AS requests FROM unnest(b.recent_ms) AS ms WHERE ms > epoch_ms(clock_timestamp()) - l.period_ms
    ) AS sent
    WHERE l.most > 0
    GROUP BY s.name
)
SELECT name, kind, of_what, value::double precision
FROM (
    SELECT 'series' AS name, 'timeframe' AS kind, timeframe AS of_what, series AS value FROM state
    UNION ALL SELECT 'missing', 'timeframe', timeframe, missing FROM state
    UNION ALL SELECT 'doubtful', 'timeframe', timeframe, doubtful FROM state
    UNION ALL SELECT 'coverage_pct', 'timeframe', timeframe, coalesce(coverage, 100) FROM state
    UNION ALL SELECT 'gaps', 'timeframe', timeframe, coalesce(gaps, 0) FROM state LEFT JOIN holes USING (timeframe)
    UNION ALL SELECT 'requests', 'source', source, requests FROM answers
    UNION ALL SELECT 'bans', 'source', source, bans FROM answers
    UNION ALL SELECT 'rows', 'source', source, rows FROM stored
    UNION ALL SELECT 'weight_used_pct', 'source', source, share FROM used
) AS measured
ORDER BY name, of_what
