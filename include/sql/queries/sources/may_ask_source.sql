-- What a caller of a run may do with a source now: ask, wait or skip.
SELECT may_ask_source(%(source_id)s::smallint, %(run)s, %(probe_lease)s::interval)
