-- Which sources the other tasks of a run have asked for candles, by series.
SELECT DISTINCT r.series_id, src.name
FROM gap_fill_runs AS r
JOIN source_attempts AS a ON a.fill_run_id = r.id
JOIN sources AS src ON src.id = a.source_id
WHERE r.dag_id = %(dag_id)s AND r.run_id = %(run_id)s AND r.task_id <> %(task_id)s AND r.validation IS NULL
