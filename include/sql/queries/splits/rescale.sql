-- Bars from before a split that its source has not given again: prices and volumes at the new scale. The old ones are kept.
WITH old AS MATERIALIZED (
    SELECT * FROM candles
    WHERE series_id = %(series_id)s AND open_time <= %(last)s AND NOT %(given)s::int8multirange @> epoch_ms(open_time)
), kept AS (
    INSERT INTO revisions (series_id, open_time, reason, open, high, low, close, volume, quote_volume, source_id,
                           new_open, new_high, new_low, new_close, new_volume, new_quote_volume, new_source_id, fill_run_id)
    SELECT series_id, open_time, 'split', open, high, low, close, volume, quote_volume, source_id,
           open / %(ratio)s, high / %(ratio)s, low / %(ratio)s, close / %(ratio)s, volume * %(ratio)s, quote_volume,
           source_id, %(fill_run_id)s
    FROM old
)
UPDATE candles AS c
SET open = c.open / %(ratio)s, high = c.high / %(ratio)s, low = c.low / %(ratio)s, close = c.close / %(ratio)s,
    volume = c.volume * %(ratio)s
FROM old
WHERE c.series_id = %(series_id)s AND c.open_time = old.open_time AND c.open_time <= %(last)s
