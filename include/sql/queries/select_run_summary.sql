-- The last attempt on each series within one Dag run.
SELECT DISTINCT ON (r.series_id)
       r.symbol, r.timeframe, r.status, r.missing_before, r.missing_after, r.requests, r.rows_inserted, r.rows_revised,
       r.rows_quarantined, r.absent_found, r.coverage_before, r.coverage_after, r.sources, r.error
FROM gap_fill_runs AS r
WHERE r.dag_id = %(dag_id)s AND r.run_id = %(run_id)s
ORDER BY r.series_id, r.started_at DESC
