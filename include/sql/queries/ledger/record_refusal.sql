-- A source gave rows for some bars, and all of them broke a rule.
SELECT record_refusal(%(series_id)s, %(source_id)s::smallint, %(refused)s::int8multirange, %(fill_run_id)s)
