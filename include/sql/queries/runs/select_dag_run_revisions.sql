-- What a Dag run has replaced: of each series the number of bars, and what the oldest one was and became, by which task.
SELECT DISTINCT ON (i.symbol, step_ms(s.timeframe))
       i.symbol, s.timeframe, count(*) OVER (PARTITION BY s.id) AS bars, r.open_time, r.reason, old.name AS source,
       new.name AS new_source, r.close, r.volume, r.new_close, r.new_volume, g.task_id
FROM gap_fill_runs AS g
JOIN revisions AS r ON r.fill_run_id = g.id
JOIN series AS s ON s.id = r.series_id
JOIN instruments AS i ON i.id = s.instrument_id
LEFT JOIN sources AS old ON old.id = r.source_id
LEFT JOIN sources AS new ON new.id = r.new_source_id
WHERE g.dag_id = %(dag_id)s AND g.run_id = %(run_id)s
ORDER BY i.symbol, step_ms(s.timeframe), r.open_time, r.id
