-- One page of the rows in quarantine, the last seen first.
SELECT q.id, i.symbol, s.timeframe, src.name AS source, q.open_time, q.rule, q.payload, q.times_seen, q.status,
       q.quarantined_at, q.last_seen_at, q.decided_at, q.note
FROM quarantine AS q
JOIN series AS s ON s.id = q.series_id
JOIN instruments AS i ON i.id = s.instrument_id
JOIN sources AS src ON src.id = q.source_id
WHERE (%(search)s::text IS NULL OR strpos(lower(i.symbol), lower(%(search)s)) > 0)
  AND (%(symbol)s::text IS NULL OR i.symbol = %(symbol)s)
  AND (%(timeframes)s::text[] IS NULL OR s.timeframe = ANY (%(timeframes)s))
  AND (%(statuses)s::text[] IS NULL OR q.status = ANY (%(statuses)s))
ORDER BY q.last_seen_at DESC, q.id DESC LIMIT %(limit)s OFFSET %(offset)s
