-- What each source answered in the last hours: successes, errors and rows, one row an hour.
SELECT s.name AS source, date_trunc('hour', t.recorded_at) AS hour,
       coalesce(sum(t.requests) FILTER (WHERE t.outcome IN ('candles', 'absent', 'markets')), 0)::bigint AS answers,
       coalesce(sum(t.requests) FILTER (WHERE t.outcome NOT IN ('candles', 'absent', 'markets')), 0)::bigint AS errors,
       sum(t.rows)::bigint AS rows
FROM source_attempts AS t JOIN sources AS s ON s.id = t.source_id
WHERE t.recorded_at > %(at)s::timestamptz - make_interval(hours => %(hours)s) AND t.recorded_at <= %(at)s
GROUP BY s.id, s.name, 2 ORDER BY s.id, 2
