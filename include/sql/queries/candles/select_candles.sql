COPY (
    SELECT epoch_ms(open_time), open, high, low, close, coalesce(volume, 'NaN'), coalesce(quote_volume, 'NaN'), source_id
    FROM candles WHERE series_id = {series_id} AND open_time >= {first} AND open_time < {past} ORDER BY open_time
) TO STDOUT (FORMAT binary)
