-- An attempt on a series has ended.
UPDATE gap_fill_runs
SET status = %(status)s, missing_after = %(missing_after)s, coverage_after = %(coverage_after)s,
    requests_planned = %(requests_planned)s, requests = %(requests)s, error = %(error)s,
    requests_left = %(requests_left)s, validation = %(validation)s, finished_at = clock_timestamp()
WHERE id = %(fill_run_id)s
RETURNING rows_inserted, rows_revised, rows_quarantined, absent_found, sources
