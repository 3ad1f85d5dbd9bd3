-- A source has failed after its client's own retries. From the threshold on, or after a probe, it is skipped, twice as long
-- each time. Failures of requests from before it was found broken do not count.
INSERT INTO source_health AS h (source_id, state, consecutive_failures, open_until, last_error, last_failure_at,
                                first_failure_at, probed_by)
VALUES (%(source_id)s, CASE WHEN %(threshold)s <= 1 THEN 'open' ELSE 'closed' END, 1,
        clock_timestamp() + %(first)s::interval, %(error)s, clock_timestamp(), clock_timestamp(), ARRAY[%(run)s::text])
ON CONFLICT (source_id) DO UPDATE
SET state = CASE WHEN h.state <> 'closed' OR h.consecutive_failures + 1 >= %(threshold)s THEN 'open' ELSE 'closed' END,
    consecutive_failures = h.consecutive_failures + CASE h.state WHEN 'open' THEN 0 ELSE 1 END,
    probed_by = (%(run)s::text || array_remove(h.probed_by, %(run)s::text))[1:50],
    open_until = CASE WHEN h.state = 'open' THEN greatest(h.open_until, clock_timestamp() + %(first)s::interval)
                 ELSE clock_timestamp()
                    + least(%(first)s::interval * power(2, least(greatest(h.consecutive_failures + 1 - %(threshold)s, 0), 16)),
                            %(longest)s::interval) END,
    last_error = excluded.last_error, last_failure_at = clock_timestamp(),
    first_failure_at = coalesce(h.first_failure_at, clock_timestamp())
