-- Record what a check found. A known finding is updated and counted; a settled one opens again if the check says so.
-- Dismissed ones, and those that an outage of the source explains, stay as they are.
INSERT INTO findings AS f (series_id, source_id, kind, verdict, start_time, end_time, field, stored, other, difference,
                           detail, fill_run_id, status, settled_at)
SELECT w.series_id, w.source_id, w.kind, w.verdict, w.start_time, w.end_time, w.field, w.stored, w.other, w.difference,
       w.detail, %(fill_run_id)s, w.status, CASE w.status WHEN 'settled' THEN now() END
FROM jsonb_to_recordset(%(findings)s::jsonb) AS w (
    series_id integer, source_id smallint, kind text, verdict text, start_time timestamptz, end_time timestamptz,
    field text, stored double precision, other double precision, difference double precision, detail jsonb, status text)
ON CONFLICT (kind, coalesce(series_id, 0), coalesce(source_id, 0), coalesce(start_time, '-infinity'),
             coalesce(field, ''))
DO UPDATE SET verdict = excluded.verdict, end_time = excluded.end_time, stored = excluded.stored, other = excluded.other,
    difference = excluded.difference, fill_run_id = excluded.fill_run_id,
    detail = excluded.detail || jsonb_strip_nulls(jsonb_build_object('dismissed', f.detail -> 'dismissed',
                                                                     'outage', f.detail -> 'outage')),
    status = CASE WHEN f.status = 'dismissed' OR f.detail ? 'outage' THEN f.status ELSE excluded.status END,
    settled_at = CASE WHEN f.status = 'dismissed' OR f.detail ? 'outage' THEN f.settled_at ELSE excluded.settled_at END,
    times_seen = f.times_seen + 1, last_seen_at = now()
RETURNING id
