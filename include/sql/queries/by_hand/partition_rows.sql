-- The month of a new bar gets its partition, if it has none.
SELECT ensure_candle_partitions(%(month)s, %(month)s + interval '1 day')
