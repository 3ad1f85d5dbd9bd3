-- How many of the months of [first_ms, past_ms) had no partition yet and have one now.
SELECT ensure_candle_partitions(from_epoch_ms(%(first_ms)s), from_epoch_ms(%(past_ms)s))
