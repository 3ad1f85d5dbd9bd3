-- How each source is: its breaker, its pause, and what it answered in the day before a moment, by default now.
SELECT s.name AS source, coalesce(h.state, 'closed') AS state, h.open_until, h.last_error, h.last_success_at, h.last_failure_at,
       CASE WHEN b.paused_until > coalesce(%(at)s::timestamptz, now()) THEN b.paused_until END AS paused_until,
       coalesce(a.answers, 0) AS answers_24h, coalesce(a.errors, 0) AS errors_24h, coalesce(a.rows, 0) AS rows_24h,
       a.latency_ms
FROM sources AS s
LEFT JOIN source_health AS h ON h.source_id = s.id
LEFT JOIN rate_budgets AS b ON b.source_id = s.id AND b.pool = 'requests'
LEFT JOIN LATERAL (
    SELECT sum(t.requests) FILTER (WHERE t.outcome IN ('candles', 'absent', 'markets')) AS answers,
           sum(t.requests) FILTER (WHERE t.outcome NOT IN ('candles', 'absent', 'markets')) AS errors,
           sum(t.rows)::bigint AS rows,
           sum(t.latency_ms * t.requests) / nullif(sum(t.requests) FILTER (WHERE t.latency_ms IS NOT NULL), 0) AS latency_ms
    FROM source_attempts AS t
    WHERE t.source_id = s.id AND t.recorded_at > coalesce(%(at)s::timestamptz, now()) - interval '24 hours'
) AS a ON true
ORDER BY s.id
