-- The closed bars of one calendar and timeframe, in place of those before.
INSERT INTO closures AS c (calendar, timeframe, closed, known, made_by)
VALUES (%(calendar)s, %(timeframe)s, %(closed)s::int8multirange, int8range(%(start_ms)s, %(end_ms)s), %(made_by)s)
ON CONFLICT (calendar, timeframe) DO UPDATE
SET closed = excluded.closed, known = excluded.known, made_by = excluded.made_by, made_at = now()
