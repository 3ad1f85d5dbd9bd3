-- A page into its waiting room. NaN stands for NULL, so that every binary row has one width.
COPY page_rows (open_time, open, high, low, close, volume, quote_volume) FROM STDIN (FORMAT binary)
