-- Counts again the days of a run's series that changed.
SELECT count_changed_days(series_id) FROM gap_fill_runs WHERE id = %(fill_run_id)s
