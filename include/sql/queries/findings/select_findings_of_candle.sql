-- What checks have said of one bar: of itself, of a page or bucket that covers it, of its sources at that time. The pages
-- that were looked at come too: they have no field. The oldest first.
WITH of_the_bar AS (
    SELECT * FROM findings
    WHERE series_id = %(series_id)s AND start_time <= %(open_time)s
      AND (start_time = %(open_time)s OR end_time > %(open_time)s)
    UNION ALL
    SELECT * FROM findings
    WHERE series_id IS NULL AND source_id = ANY (%(source_ids)s) AND start_time <= %(open_time)s
      AND end_time > %(open_time)s AND field = %(timeframe)s
)
SELECT f.id, src.name AS source, f.kind, f.verdict, f.status, f.start_time, f.end_time, f.field, f.stored, f.other,
       f.difference, f.detail, f.times_seen, f.found_at, f.last_seen_at, f.settled_at, f.fill_run_id, r.dag_id, r.run_id,
       r.task_id
FROM of_the_bar AS f
LEFT JOIN sources AS src ON src.id = f.source_id
LEFT JOIN gap_fill_runs AS r ON r.id = f.fill_run_id
ORDER BY f.last_seen_at, f.id
