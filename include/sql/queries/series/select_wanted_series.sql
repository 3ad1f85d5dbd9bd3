-- Every series that is wanted now.
SELECT i.symbol, s.timeframe FROM series AS s JOIN instruments AS i ON i.id = s.instrument_id WHERE s.wanted
