-- The condition of each day of some symbols and timeframes, the oldest first.
SELECT symbol, timeframe, day, condition, expected, held, stand_in, proved_absent, reported_absent, refused, doubtful, missing,
       findings, sources, agreed, changed_at, leaves_reach_at, reason, would_change, closed
FROM conditions_at(%(at)s, %(settle_ms)s, %(from_ms)s, %(to_ms)s)
WHERE (%(symbols)s::text[] IS NULL OR symbol = ANY (%(symbols)s))
  AND (%(timeframes)s::text[] IS NULL OR timeframe = ANY (%(timeframes)s))
ORDER BY symbol, step_ms(timeframe), day
