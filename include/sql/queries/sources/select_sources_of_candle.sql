-- The sources of a series, best first, with how each lists the instrument and until when it is believed to lack one bar.
-- A source that the series does not name comes last, if it has a listing.
SELECT src.name AS source, array_position(s.source_ids, src.id) AS rank,
       coalesce(known.listings, '[]') AS listings, said.absent_until, said.confirmations, said.grade
FROM series AS s
JOIN sources AS src ON src.id = ANY (s.source_ids)
     OR EXISTS (SELECT FROM listings AS l WHERE l.instrument_id = s.instrument_id AND l.source_id = src.id)
LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object(
               'venue_symbol', l.venue_symbol, 'instrument_class', l.instrument_class, 'price_scale', l.price_scale,
               'volume_scale', l.volume_scale, 'status', l.status, 'reason', l.reason, 'proved_by', l.proved_by,
               'overlap_bars', l.overlap_bars, 'median_close_ratio', l.median_close_ratio, 'checked_at', l.checked_at
           ) ORDER BY l.status = 'proved' DESC, l.instrument_class) AS listings
    FROM listings AS l WHERE l.instrument_id = s.instrument_id AND l.source_id = src.id
) AS known ON true
LEFT JOIN LATERAL (
    SELECT a.expires_at AS absent_until, a.confirmations, a.grade
    FROM absences AS a
    WHERE a.series_id = s.id AND a.source_id = src.id AND a.absent @> %(open_ms)s::bigint
) AS said ON true
WHERE s.id = %(series_id)s
ORDER BY rank, src.name
