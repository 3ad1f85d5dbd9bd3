-- Rows that broke a rule, as they came; one that is seen again is counted, not repeated.
INSERT INTO quarantine (series_id, source_id, open_time, rule, payload, times_seen, fill_run_id)
SELECT %(series_id)s, %(source_id)s, min(open_time), rule, coalesce(payload, 'null')::text::jsonb, count(*), %(fill_run_id)s
FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (open_time timestamptz, rule text, payload jsonb)
GROUP BY rule, coalesce(payload, 'null')::text
ORDER BY rule, coalesce(payload, 'null')::text
ON CONFLICT (series_id, source_id, rule, md5(payload::text))
DO UPDATE SET times_seen = quarantine.times_seen + excluded.times_seen, last_seen_at = now(),
              fill_run_id = excluded.fill_run_id
