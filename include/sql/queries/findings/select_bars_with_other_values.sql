-- The stored bars that open findings accuse, with the other source's value of each field that differs.
SELECT i.symbol, s.timeframe, c.open_time, c.open, c.high, c.low, c.close, c.volume, c.quote_volume,
       jsonb_object_agg(f.field, f.other) AS others
FROM findings AS f
JOIN series AS s ON s.id = f.series_id
JOIN instruments AS i ON i.id = s.instrument_id
JOIN candles AS c ON c.series_id = f.series_id AND c.open_time = f.start_time
WHERE f.id = ANY (%(ids)s::bigint[])
GROUP BY i.symbol, s.timeframe, s.step_ms, c.series_id, c.open_time, c.open, c.high, c.low, c.close, c.volume, c.quote_volume
ORDER BY i.symbol, s.step_ms, c.open_time
