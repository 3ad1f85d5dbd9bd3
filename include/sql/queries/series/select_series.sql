-- The wanted series of some symbols and timeframes with their windows as of a moment.
SELECT w.series_id, i.symbol, w.timeframe, w.source_ids, w.start_ms, w.end_ms, i.state, epoch_ms(i.list_time) AS list_ms,
       s.spot_proxy, s.objective_pct, s.roll_up, s.retention_ms IS NOT NULL AS is_pruned, s.splits,
       CASE WHEN s.calendar IS NULL THEN '{}'::int8multirange
            ELSE closed_of(s.calendar, s.timeframe) * int8multirange(int8range(w.start_ms, w.end_ms)) END AS closed
FROM windows_at(%(at)s, %(settle_ms)s, %(from_ms)s, %(to_ms)s) AS w
JOIN series AS s ON s.id = w.series_id
JOIN instruments AS i ON i.id = w.instrument_id
WHERE (%(symbols)s::text[] IS NULL OR i.symbol = ANY (%(symbols)s))
  AND (%(timeframes)s::text[] IS NULL OR w.timeframe = ANY (%(timeframes)s))
ORDER BY i.symbol, w.step_ms
