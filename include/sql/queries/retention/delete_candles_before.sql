-- The candles of a series that open before a time.
DELETE FROM candles WHERE series_id = %(series_id)s AND open_time < from_epoch_ms(%(past_ms)s)
