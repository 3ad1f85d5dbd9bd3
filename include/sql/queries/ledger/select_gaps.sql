-- The gaps of some symbols and timeframes as of a moment, one row a gap.
SELECT i.symbol, g.timeframe, from_epoch_ms(lower(gap)) AS gap_start, from_epoch_ms(upper(gap)) AS gap_end,
       (upper(gap) - lower(gap)) / g.step_ms AS missing_candles
FROM gaps_at(%(at)s, %(settle_ms)s, %(from_ms)s, %(to_ms)s) AS g
JOIN instruments AS i ON i.id = g.instrument_id
CROSS JOIN LATERAL unnest(g.gaps) AS gap
WHERE (%(symbols)s::text[] IS NULL OR i.symbol = ANY (%(symbols)s))
  AND (%(timeframes)s::text[] IS NULL OR g.timeframe = ANY (%(timeframes)s))
ORDER BY i.symbol, g.step_ms, gap_start DESC
