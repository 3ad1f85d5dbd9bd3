-- The state of some symbols and timeframes as of a moment.
SELECT symbol, timeframe, status, oldest_data, newest_data, total_candles, expected_candles, coverage_pct, doubtful_candles, last_sync,
       error_message, missing_candles, absent_candles, ready, bars_ready, bars_needed, closed_candles
FROM sync_status_at(%(at)s, %(settle_ms)s)
WHERE (%(symbols)s::text[] IS NULL OR symbol = ANY (%(symbols)s))
  AND (%(timeframes)s::text[] IS NULL OR timeframe = ANY (%(timeframes)s))
ORDER BY symbol, step_ms(timeframe)
