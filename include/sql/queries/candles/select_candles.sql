-- Candles of one series in a window, oldest first, each as its columns in binary; one value, which is read faster than rows.
SELECT string_agg(
    int8send(epoch_ms(open_time)) || float8send(open) || float8send(high) || float8send(low) || float8send(close)
    || float8send(coalesce(volume, 'NaN')) || float8send(coalesce(quote_volume, 'NaN')) || int2send(source_id),
    '' ORDER BY open_time
)
FROM candles WHERE series_id = %(series_id)s AND open_time >= %(first)s AND open_time < %(past)s;
