-- How far back sources serve.
UPDATE sources AS s SET reach_bars = d.reach_bars, reach_by_timeframe = d.reach_by_timeframe
FROM jsonb_to_recordset(%(sources)s::jsonb) AS d (id smallint, reach_bars integer, reach_by_timeframe jsonb)
WHERE s.id = d.id AND (s.reach_bars, s.reach_by_timeframe) IS DISTINCT FROM (d.reach_bars, d.reach_by_timeframe)
