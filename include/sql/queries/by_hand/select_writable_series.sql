-- Every series with the span that a bar written by hand may lie in: over, and not older than what is kept.
SELECT s.id AS series_id, i.symbol, s.timeframe, s.source_ids,
       grid_ceil(greatest(ends.end_ms - s.retention_ms, %(earliest_ms)s), s.step_ms, s.anchor_ms) AS start_ms,
       ends.end_ms, i.state, epoch_ms(i.list_time) AS list_ms, s.spot_proxy, s.objective_pct
FROM series AS s
JOIN instruments AS i ON i.id = s.instrument_id
CROSS JOIN LATERAL (
    SELECT grid_floor(epoch_ms(clock_timestamp()) - %(settle_ms)s, s.step_ms, s.anchor_ms) AS end_ms
) AS ends
ORDER BY i.symbol, s.step_ms
