-- Counts again the days of one series that changed.
SELECT count_changed_days(%(series_id)s)
