-- Gives a better grade to what some sources have no candle for.
SELECT grade_silence(%(series_id)s, source_id, %(bars)s::int8multirange, %(grade)s, %(life)s::interval)
FROM unnest(%(source_ids)s::smallint[]) AS source_id
