-- What a source has answered in a run: the ms that are newly known to be absent.
SELECT record_answer(%(series_id)s, %(source_id)s::smallint, %(missing)s::int8multirange, %(present)s::int8multirange,
                     %(next_life)s::interval, %(fill_run_id)s)
