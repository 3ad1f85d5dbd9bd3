-- Rows in quarantine with the names of what they concern, the last seen first. `since`: when they came to be what they are.
SELECT q.id, i.symbol, s.timeframe, src.name AS source, q.open_time, q.rule, q.payload, q.times_seen, q.status,
       coalesce(q.decided_at, q.quarantined_at) AS since, q.last_seen_at, q.note, q.series_id, q.source_id
FROM quarantine AS q
JOIN series AS s ON s.id = q.series_id
JOIN instruments AS i ON i.id = s.instrument_id
JOIN sources AS src ON src.id = q.source_id
WHERE (%(ids)s::bigint[] IS NULL OR q.id = ANY (%(ids)s))
  AND (%(status)s::text IS NULL OR q.status = %(status)s)
  AND (%(symbols)s::text[] IS NULL OR i.symbol = ANY (%(symbols)s))
ORDER BY q.last_seen_at DESC, q.id DESC
LIMIT %(max_rows)s
