-- The series of some instruments ask for nothing more; their candles stay.
UPDATE series SET wanted = false WHERE instrument_id = ANY (%(instrument_ids)s) AND wanted
