-- Two series of an instrument that notice the same split write one row of it.
SELECT i.id FROM instruments AS i WHERE i.symbol = %(symbol)s FOR NO KEY UPDATE
