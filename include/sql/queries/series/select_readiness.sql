-- Of the wanted series, how many bars are there without a hole up to the last closed one, and how many are needed. A
-- series whose window is empty has none.
SELECT i.symbol, s.timeframe, coalesce(status.status, 'pending') AS status, coalesce(status.bars_ready, 0) AS bars_ready,
       coalesce(%(bars)s::bigint, status.bars_needed, s.ready_bars) AS bars_needed, status.newest_data
FROM series AS s
JOIN instruments AS i ON i.id = s.instrument_id
LEFT JOIN sync_status_at(%(at)s, %(settle_ms)s) AS status ON status.symbol = i.symbol AND status.timeframe = s.timeframe
WHERE s.wanted
ORDER BY i.symbol, s.step_ms
