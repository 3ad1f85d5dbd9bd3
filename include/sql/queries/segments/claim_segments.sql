-- Segments for one consumer, oldest first. What others are claiming at this moment is passed over; so is what has been superseded.
WITH free AS (
    SELECT g.id
    FROM segments AS g
    JOIN series AS s ON s.id = g.series_id
    JOIN instruments AS i ON i.id = s.instrument_id
    WHERE g.status = 'downloaded'
      AND (%(symbols)s::text[] IS NULL OR i.symbol = ANY (%(symbols)s::text[]))
      AND (%(timeframes)s::text[] IS NULL OR s.timeframe = ANY (%(timeframes)s::text[]))
      AND NOT EXISTS (SELECT FROM segments AS newer WHERE newer.supersedes = g.id)
    ORDER BY g.start_time, g.id
    LIMIT %(max_rows)s
    FOR UPDATE OF g SKIP LOCKED
)
UPDATE segments SET status = 'processing', consumer = %(consumer)s
WHERE id IN (SELECT id FROM free)
RETURNING id
