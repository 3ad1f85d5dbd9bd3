-- One page of the replaced candles, the last replaced first: what each was and what it became.
SELECT r.id, i.symbol, s.timeframe, r.open_time, r.reason, old.name AS source, new.name AS new_source, r.open, r.high, r.low, r.close,
       r.volume, r.new_open, r.new_high, r.new_low, r.new_close, r.new_volume, r.note, r.revised_at
FROM revisions AS r
JOIN series AS s ON s.id = r.series_id
JOIN instruments AS i ON i.id = s.instrument_id
LEFT JOIN sources AS old ON old.id = r.source_id
LEFT JOIN sources AS new ON new.id = r.new_source_id
WHERE (%(search)s::text IS NULL OR strpos(lower(i.symbol), lower(%(search)s)) > 0)
  AND (%(symbol)s::text IS NULL OR i.symbol = %(symbol)s)
  AND (%(timeframes)s::text[] IS NULL OR s.timeframe = ANY (%(timeframes)s))
  AND (%(statuses)s::text[] IS NULL OR r.reason = ANY (%(statuses)s))
ORDER BY r.id DESC LIMIT %(limit)s OFFSET %(offset)s
