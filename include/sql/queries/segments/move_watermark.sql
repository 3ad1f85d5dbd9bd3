-- How far a series has been handed on without a hole: to the first bar that is in no segment and may still come. Only forward.
INSERT INTO watermarks AS w (name, position)
SELECT 'ingest:' || src.name || ':' || i.symbol || ':' || s.timeframe,
       from_epoch_ms(coalesce(lower(left_over.bars), upper(registered.bars)))
FROM series AS s
JOIN instruments AS i ON i.id = s.instrument_id
JOIN sources AS src ON src.id = s.source_ids[1]
CROSS JOIN LATERAL (
    SELECT range_agg(int8range(epoch_ms(start_time), epoch_ms(end_time))) AS bars FROM segments WHERE series_id = s.id
) AS registered
CROSS JOIN LATERAL absent_everywhere(s.id, s.source_ids, %(at)s) AS everywhere
CROSS JOIN LATERAL (
    SELECT int8multirange(int8range(lower(registered.bars), upper(registered.bars)))
           - registered.bars - (everywhere.absent + s.no_trade - s.lost - s.held) - closed_of(s.calendar, s.timeframe) AS bars
) AS left_over
WHERE s.id = %(series_id)s AND registered.bars IS NOT NULL
ON CONFLICT (name) DO UPDATE SET position = excluded.position, moved_at = now() WHERE w.position < excluded.position
