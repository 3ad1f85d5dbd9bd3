-- The series that are to be audited, with what they have from their primary source.
SELECT s.id AS series_id, s.instrument_id, i.symbol, s.timeframe, s.source_ids[1] AS primary_id,
       s.held - s.stand_in AS native
FROM series AS s JOIN instruments AS i ON i.id = s.instrument_id
WHERE %(symbols)s::text[] IS NULL OR i.symbol = ANY (%(symbols)s)
ORDER BY i.symbol, s.step_ms
