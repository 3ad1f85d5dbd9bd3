-- Registered segments, newest span first.
SELECT g.id, i.symbol, s.timeframe, g.start_time, g.end_time, g.revision, g.supersedes, g.rows, g.status, g.consumer,
       g.path, g.sha256, g.created_at, g.claimed_at, g.processed_at, g.deleted_at,
       EXISTS (SELECT FROM segments AS newer WHERE newer.supersedes = g.id) AS is_superseded
FROM segments AS g
JOIN series AS s ON s.id = g.series_id
JOIN instruments AS i ON i.id = s.instrument_id
WHERE (%(symbols)s::text[] IS NULL OR i.symbol = ANY (%(symbols)s::text[]))
  AND (%(timeframes)s::text[] IS NULL OR s.timeframe = ANY (%(timeframes)s::text[]))
  AND (%(status)s::text IS NULL OR g.status = %(status)s)
  AND (%(ids)s::bigint[] IS NULL OR g.id = ANY (%(ids)s::bigint[]))
ORDER BY g.start_time DESC, g.id DESC
LIMIT %(max_rows)s
