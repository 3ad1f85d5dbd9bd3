-- One page of what checks have found, the last seen first.
SELECT f.id, i.symbol, s.timeframe, src.name AS source, f.kind, f.verdict, f.status, f.start_time, f.end_time, f.field,
       f.stored, f.other, f.difference, f.detail, f.times_seen, f.found_at, f.last_seen_at
FROM findings AS f
LEFT JOIN series AS s ON s.id = f.series_id
LEFT JOIN instruments AS i ON i.id = s.instrument_id
LEFT JOIN sources AS src ON src.id = f.source_id
WHERE (%(search)s::text IS NULL OR strpos(lower(i.symbol), lower(%(search)s)) > 0)
  AND (%(symbol)s::text IS NULL OR i.symbol = %(symbol)s)
  AND (%(timeframes)s::text[] IS NULL OR s.timeframe = ANY (%(timeframes)s))
  AND (%(statuses)s::text[] IS NULL OR f.status = ANY (%(statuses)s))
ORDER BY f.last_seen_at DESC, f.id DESC LIMIT %(limit)s OFFSET %(offset)s
