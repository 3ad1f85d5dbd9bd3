-- Every attempt within one Dag run, the first one first.
SELECT symbol, timeframe, status, gaps_found, missing_before, missing_after, coverage_before, coverage_after,
       requests_planned, requests, rows_inserted, rows_revised, rows_quarantined, absent_found, sources, error, validation
FROM gap_fill_runs
WHERE dag_id = %(dag_id)s AND run_id = %(run_id)s
ORDER BY id
