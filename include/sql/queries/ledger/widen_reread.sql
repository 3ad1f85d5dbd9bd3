-- Corrections were found in some bars: the primary source may have corrected the same time in every series of this
-- timeframe, and the pages beside it in this one. What has just been read is left out.
INSERT INTO rereads AS r (series_id, widened)
SELECT s.id, s.held * CASE WHEN s.id = one.id THEN %(beside)s::int8multirange - %(done)s::int8multirange
                           ELSE %(found)s::int8multirange END
FROM series AS one
JOIN series AS s ON s.timeframe = one.timeframe AND s.source_ids[1] = one.source_ids[1] AND s.wanted
WHERE one.id = %(series_id)s
ORDER BY s.id
ON CONFLICT (series_id) DO UPDATE SET widened = r.widened + excluded.widened
