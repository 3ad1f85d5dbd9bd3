-- One candle with the name of its source (NULL: a number that is no source's); no row: there is none.
SELECT c.open, c.high, c.low, c.close, c.volume, c.quote_volume, src.name AS source
FROM candles AS c LEFT JOIN sources AS src ON src.id = c.source_id
WHERE c.series_id = %(series_id)s AND c.open_time = %(open_time)s
