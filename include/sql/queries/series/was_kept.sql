-- Whether any series of an instrument was ever kept.
SELECT EXISTS (SELECT FROM series AS s JOIN instruments AS i ON i.id = s.instrument_id WHERE i.symbol = %(symbol)s)
