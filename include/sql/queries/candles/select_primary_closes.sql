-- The newest closes that the primary source of a series has given, for the proof of a listing.
SELECT epoch_ms(c.open_time) AS open_ms, c.close
FROM candles AS c JOIN series AS s ON s.id = c.series_id
WHERE c.series_id = %(series_id)s AND c.source_id = s.source_ids[1]
ORDER BY c.open_time DESC LIMIT %(most)s
