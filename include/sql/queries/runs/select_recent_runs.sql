-- The newest lines of the run log, the last one started first.
SELECT dag_id, run_id, task_id, map_index, try_number, symbol, timeframe, window_start, window_end, status,
       gaps_found, missing_before, missing_after, requests, rows_inserted, rows_revised, rows_quarantined,
       absent_found, coverage_before, coverage_after, sources, error, started_at, finished_at
FROM gap_fill_runs
ORDER BY id DESC
LIMIT %(max_rows)s;
