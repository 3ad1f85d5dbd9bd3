-- Bars into their waiting room. NaN stands for NULL, so that every binary row has one width.
COPY rows_by_hand (place, series_id, source_id, open_time, open, high, low, close, volume, quote_volume)
FROM STDIN (FORMAT binary)
