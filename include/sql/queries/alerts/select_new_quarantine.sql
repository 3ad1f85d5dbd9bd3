-- Rows that came into quarantine since a moment and wait for a decision, by series, source and rule.
SELECT i.symbol, s.timeframe, src.name AS source, q.rule, count(*) AS rows
FROM quarantine AS q
JOIN series AS s ON s.id = q.series_id
JOIN instruments AS i ON i.id = s.instrument_id
JOIN sources AS src ON src.id = q.source_id
WHERE q.status = 'pending' AND q.quarantined_at >= %(since)s
GROUP BY i.symbol, s.timeframe, s.step_ms, src.name, q.rule
ORDER BY rows DESC, i.symbol, s.step_ms, src.name, q.rule
