-- How many bars of all wanted series are missing as of a moment, the pending ones included.
SELECT coalesce(sum(covered_ms(gaps) / step_ms), 0)::bigint AS candles FROM gaps_at(%(at)s, %(settle_ms)s)
