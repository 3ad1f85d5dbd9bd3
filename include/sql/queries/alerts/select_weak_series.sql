-- The wanted series that hold less than their objective as of a moment, or have silent bars that are not believed, the worst first.
SELECT c.symbol, c.timeframe, c.coverage_pct, s.objective_pct, c.missing_candles, c.doubtful_candles
FROM sync_status_at(%(at)s, %(settle_ms)s) AS c
JOIN instruments AS i ON i.symbol = c.symbol
JOIN series AS s ON s.instrument_id = i.id AND s.timeframe = c.timeframe
WHERE c.coverage_pct < s.objective_pct OR c.doubtful_candles > 0
ORDER BY c.coverage_pct, c.symbol, c.timeframe
