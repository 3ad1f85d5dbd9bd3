-- The state of every wanted series, what needs a look first: incomplete before complete, then the least covered.
SELECT symbol, timeframe, status, oldest_data, newest_data, total_candles, expected_candles, missing_candles,
       absent_candles, coverage_pct, doubtful_candles, last_sync, error_message
FROM sync_status_at(now())
ORDER BY status IN ('complete', 'insufficient_history'), coverage_pct, symbol, step_ms(timeframe)
LIMIT %(max_rows)s;
