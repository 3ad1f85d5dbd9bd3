-- When the oldest candle of a series opens that is older than what is kept, in ms.
SELECT epoch_ms(min(open_time)) AS oldest_ms
FROM candles
WHERE series_id = %(series_id)s AND open_time < from_epoch_ms(%(keeps_from_ms)s)
