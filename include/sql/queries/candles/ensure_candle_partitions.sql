-- Months of [first, past) that had no partition yet and have one now.
SELECT ensure_candle_partitions(%(first)s, %(past)s)
