-- What a source answered in a run, counted.
INSERT INTO source_attempts (fill_run_id, source_id, outcome, requests, rows, latency_ms)
VALUES (%(fill_run_id)s, %(source_id)s, %(outcome)s, %(requests)s, %(rows)s, %(latency_ms)s)
