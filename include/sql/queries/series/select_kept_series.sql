-- The series of some instruments in one timeframe that hold anything.
SELECT i.symbol, s.id FROM series AS s JOIN instruments AS i ON i.id = s.instrument_id
WHERE i.symbol = ANY (%(symbols)s) AND s.timeframe = %(timeframe)s AND s.held <> '{}'
ORDER BY i.symbol
