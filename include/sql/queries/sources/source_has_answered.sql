-- A source has answered as it should: its breaker is closed.
INSERT INTO source_health (source_id, last_success_at) VALUES (%(source_id)s, clock_timestamp())
ON CONFLICT (source_id) DO UPDATE
SET state = 'closed', consecutive_failures = 0, open_until = NULL, last_error = NULL, first_failure_at = NULL,
    probed_by = '{}', last_success_at = clock_timestamp()
