-- The newest revision of each registered span of a series, and whether a candle in it may have been revised since.
SELECT DISTINCT ON (g.start_time, g.end_time)
       g.id, epoch_ms(g.start_time) AS start_ms, epoch_ms(g.end_time) AS end_ms, g.path, g.sha256, g.content_sha256,
       g.rows, g.revision, g.status,
       EXISTS (
           SELECT FROM revisions AS r
           WHERE r.series_id = g.series_id AND r.open_time >= g.start_time AND r.open_time < g.end_time
             -- A long transaction dates its revisions from its own start.
             AND r.revised_at > g.created_at - interval '1 hour'
       ) AS is_revised
FROM segments AS g
WHERE g.series_id = %(series_id)s
ORDER BY g.start_time, g.end_time, g.revision DESC
