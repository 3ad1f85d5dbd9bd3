-- What is held of a span, counted anew from the candles, under the lock of lock_ledger: whoever has changed them has
-- told the ledger before, and whoever is changing them will tell it after.
UPDATE series AS s
SET held = s.held - int8multirange(int8range(%(start_ms)s, %(end_ms)s)) + coalesce((
    SELECT range_agg(int8range(epoch_ms(c.open_time), epoch_ms(c.open_time) + s.step_ms))
    FROM candles AS c
    WHERE c.series_id = s.id AND c.open_time >= %(first)s AND c.open_time < %(past)s
      AND (epoch_ms(c.open_time) - s.anchor_ms) %% s.step_ms = 0), '{}')
WHERE s.id = %(series_id)s
