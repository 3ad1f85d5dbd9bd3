-- Whether a source has ever given a candle of the series that opens before a time.
SELECT EXISTS (
    SELECT FROM candles WHERE series_id = %(series_id)s AND open_time < %(before)s AND source_id = %(source_id)s
)
