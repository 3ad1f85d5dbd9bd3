-- The state of one series as of a moment; `not_started` where the universe does not name it.
SELECT asked.symbol, asked.timeframe, coalesce(st.status, 'not_started') AS status, st.oldest_data, st.newest_data,
       coalesce(st.total_candles, 0) AS total_candles, st.expected_candles, st.coverage_pct, st.doubtful_candles, st.closed_candles, st.last_sync,
       st.error_message
FROM (VALUES (%(symbol)s::text, %(timeframe)s::text)) AS asked (symbol, timeframe)
LEFT JOIN sync_status_at(%(at)s, %(settle_ms)s) AS st USING (symbol, timeframe)
