-- The wanted series of the same instrument.
SELECT other.id, other.timeframe
FROM series AS s JOIN series AS other ON other.instrument_id = s.instrument_id AND other.wanted
WHERE s.id = %(series_id)s AND other.source_ids[1] = s.source_ids[1]
