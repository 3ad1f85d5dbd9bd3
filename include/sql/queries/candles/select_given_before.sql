-- Of these rows: how many another run quarantined too under the same rule, and when those open that a person has discarded.
SELECT count(*) FILTER (WHERE q.status <> 'discarded' AND q.fill_run_id IS DISTINCT FROM %(fill_run_id)s),
       coalesce(array_agg(epoch_ms(r.open_time)) FILTER (WHERE q.status = 'discarded'), '{}')
FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (open_time timestamptz, rule text, payload jsonb)
JOIN quarantine AS q ON q.rule = r.rule AND md5(q.payload::text) = md5(coalesce(r.payload, 'null')::text)
WHERE q.series_id = %(series_id)s AND q.source_id = %(source_id)s
