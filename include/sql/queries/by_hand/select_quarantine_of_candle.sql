-- The rows of one bar that broke a rule, the oldest first.
SELECT q.id, src.name AS source, q.rule, q.payload, q.status, q.times_seen, q.quarantined_at, q.last_seen_at, q.decided_at,
       q.note
FROM quarantine AS q JOIN sources AS src ON src.id = q.source_id
WHERE q.series_id = %(series_id)s AND q.open_time = %(open_time)s
ORDER BY q.id
