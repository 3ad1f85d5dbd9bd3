-- A row that broke a rule, as it came; seen again, it is counted, not repeated.
INSERT INTO quarantine (series_id, source_id, open_time, rule, payload, fill_run_id)
VALUES (%(series_id)s, %(source_id)s, %(open_time)s, %(rule)s, %(payload)s, %(fill_run_id)s)
ON CONFLICT (series_id, source_id, rule, md5(payload::text))
DO UPDATE SET times_seen = quarantine.times_seen + 1, last_seen_at = now(), fill_run_id = excluded.fill_run_id
