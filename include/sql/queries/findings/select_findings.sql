-- What checks have found, the newest first.
SELECT f.id, i.symbol, s.timeframe, src.name AS source, f.kind, f.verdict, f.status, f.start_time, f.end_time, f.field,
       f.stored, f.other, f.difference, f.detail, r.dag_id, r.run_id, f.times_seen, f.found_at, f.last_seen_at
FROM findings AS f
LEFT JOIN series AS s ON s.id = f.series_id
LEFT JOIN instruments AS i ON i.id = s.instrument_id
LEFT JOIN sources AS src ON src.id = f.source_id
LEFT JOIN gap_fill_runs AS r ON r.id = f.fill_run_id
WHERE (%(status)s::text IS NULL OR f.status = %(status)s)
  AND (%(kinds)s::text[] IS NULL OR f.kind = ANY (%(kinds)s))
  AND (%(symbols)s::text[] IS NULL OR i.symbol = ANY (%(symbols)s))
ORDER BY f.last_seen_at DESC, f.id DESC
LIMIT %(max_rows)s
