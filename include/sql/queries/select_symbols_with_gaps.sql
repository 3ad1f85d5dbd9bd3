-- The series with something left to try as of a moment, for all series in one pass; the newest gap first.
SELECT i.symbol, g.timeframe, g.step_ms, covered_ms(g.gaps) / g.step_ms AS missing_candles, upper(g.gaps) AS newest_ms
FROM gaps_at(%(at)s, %(settle_ms)s, %(from_ms)s, %(to_ms)s) AS g
JOIN instruments AS i ON i.id = g.instrument_id
WHERE (%(symbols)s::text[] IS NULL OR i.symbol = ANY (%(symbols)s))
  AND (%(timeframes)s::text[] IS NULL OR g.timeframe = ANY (%(timeframes)s))
ORDER BY newest_ms DESC, i.symbol, g.step_ms
