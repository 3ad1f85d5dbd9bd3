-- A page's bars, all of them written by this transaction, are held from now on: from the home, or as stand-ins.
UPDATE series
SET held = held + %(bars)s::int8multirange,
    stand_in = CASE WHEN source_ids[1] = %(source_id)s THEN stand_in - %(bars)s::int8multirange
                    ELSE stand_in + (%(bars)s::int8multirange - (held - stand_in)) END
WHERE id = %(series_id)s
