-- The stored candles of one series in a window, oldest first, with their sources.
SELECT c.open_time, c.open, c.high, c.low, c.close, c.volume, c.quote_volume, src.name AS source
FROM candles AS c LEFT JOIN sources AS src ON src.id = c.source_id
WHERE c.series_id = %(series_id)s AND c.open_time >= %(from)s AND c.open_time < %(to)s
ORDER BY c.open_time LIMIT %(limit)s
