-- What a source has answered: the ms that are newly established as absent.
SELECT record_answer(%(series_id)s, %(source_id)s::smallint, %(missing)s::int8multirange, %(present)s::int8multirange,
                     %(first_life)s::interval, %(next_life)s::interval)
