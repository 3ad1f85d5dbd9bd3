-- Runs still `running` although nobody holds their series: their process was killed. Whoever works on a series holds its
-- advisory lock, or behind a pooler its claim, so both being free is the proof.
WITH left_running AS MATERIALIZED (
    SELECT id, series_id FROM gap_fill_runs WHERE status = 'running'
), dead AS MATERIALIZED (
    SELECT id FROM left_running AS l
    WHERE pg_try_advisory_xact_lock(%(lock_class)s, series_id)
      AND NOT EXISTS (SELECT FROM claims AS c
                      WHERE c.lock_class = %(lock_class)s AND c.lock_key = l.series_id AND c.expires_at >= clock_timestamp())
)
UPDATE gap_fill_runs AS r
SET status = 'abandoned', finished_at = clock_timestamp(),
    error = coalesce(r.error, 'the process ended without finishing its run')
FROM dead WHERE r.id = dead.id AND r.status = 'running'  -- not if it has finished since
