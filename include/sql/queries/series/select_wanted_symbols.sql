-- The instruments of which series are wanted.
SELECT DISTINCT i.symbol FROM series AS s JOIN instruments AS i ON i.id = s.instrument_id WHERE s.wanted
