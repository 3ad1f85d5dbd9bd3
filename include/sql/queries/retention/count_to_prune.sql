-- How many candles of a series are older than what is kept.
SELECT count(*) FROM candles WHERE series_id = %(series_id)s AND open_time < from_epoch_ms(%(keeps_from_ms)s)
