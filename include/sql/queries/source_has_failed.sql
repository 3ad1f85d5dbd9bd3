-- A source has failed, after its client's own retries. From the threshold on, or when it was only being probed, it is
-- skipped, twice as long each time.
INSERT INTO source_health AS h (source_id, state, consecutive_failures, open_until, last_error, last_failure_at, first_failure_at,
                               probed_by)
VALUES (%(source_id)s, CASE WHEN %(threshold)s <= 1 THEN 'open' ELSE 'closed' END, 1,
        clock_timestamp() + %(first)s::interval, %(error)s, clock_timestamp(), clock_timestamp(), %(run)s)
ON CONFLICT (source_id) DO UPDATE
SET state = CASE WHEN h.state <> 'closed' OR h.consecutive_failures + 1 >= %(threshold)s THEN 'open' ELSE 'closed' END,
    consecutive_failures = h.consecutive_failures + 1, probed_by = excluded.probed_by,
    open_until = clock_timestamp()
               + least(%(first)s::interval * power(2, least(h.consecutive_failures / greatest(%(threshold)s, 1), 16)),
                       %(longest)s::interval),
    last_error = excluded.last_error, last_failure_at = clock_timestamp(),
    first_failure_at = coalesce(h.first_failure_at, clock_timestamp())
