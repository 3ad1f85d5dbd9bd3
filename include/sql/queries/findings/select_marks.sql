-- What was found, revised or refused of one series in a window, the newest first: what a chart marks. Findings about a whole
-- source count where the series may be supplied by it.
SELECT * FROM (
    (SELECT 'finding' AS what, f.id, f.start_time AS at, f.end_time AS until, f.kind || ': ' || f.verdict AS title, src.name AS source,
            f.status
     FROM findings AS f LEFT JOIN sources AS src ON src.id = f.source_id
     WHERE f.series_id = %(series_id)s AND f.start_time >= %(from)s AND f.start_time < %(to)s AND f.field IS NOT NULL
     ORDER BY f.start_time DESC LIMIT %(limit)s)
    UNION ALL
    (SELECT 'outage', f.id, f.start_time, f.end_time, f.kind, src.name, f.status
     FROM findings AS f JOIN sources AS src ON src.id = f.source_id
     WHERE f.series_id IS NULL AND f.source_id = ANY (SELECT unnest(source_ids) FROM series WHERE id = %(series_id)s)
       AND f.start_time < %(to)s AND f.end_time > %(from)s
     ORDER BY f.start_time DESC LIMIT %(limit)s)
    UNION ALL
    (SELECT 'revision', r.id, r.open_time, NULL, r.reason, src.name, 'settled'
     FROM revisions AS r LEFT JOIN sources AS src ON src.id = r.new_source_id
     WHERE r.series_id = %(series_id)s AND r.open_time >= %(from)s AND r.open_time < %(to)s
     ORDER BY r.open_time DESC LIMIT %(limit)s)
    UNION ALL
    (SELECT 'quarantine', q.id, q.open_time, NULL, q.rule, src.name, q.status
     FROM quarantine AS q LEFT JOIN sources AS src ON src.id = q.source_id
     WHERE q.series_id = %(series_id)s AND q.open_time >= %(from)s AND q.open_time < %(to)s
     ORDER BY q.open_time DESC LIMIT %(limit)s)
) AS marks
ORDER BY at DESC LIMIT %(limit)s
