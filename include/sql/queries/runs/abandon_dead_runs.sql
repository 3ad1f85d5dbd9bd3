-- Runs still `running` although the advisory lock of their series is free: their process was killed.
WITH left_running AS MATERIALIZED (
    SELECT id, series_id FROM gap_fill_runs WHERE status = 'running'
), dead AS MATERIALIZED (
    SELECT id FROM left_running WHERE pg_try_advisory_xact_lock(%(lock_class)s, series_id)
)
UPDATE gap_fill_runs AS r
SET status = 'abandoned', finished_at = clock_timestamp(),
    error = coalesce(r.error, 'the process ended without finishing its run')
FROM dead WHERE r.id = dead.id AND r.status = 'running'  -- not if it has finished since
