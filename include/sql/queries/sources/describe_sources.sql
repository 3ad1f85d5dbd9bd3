-- How far back sources serve.
UPDATE sources AS s SET reach_bars = d.reach_bars
FROM jsonb_to_recordset(%(sources)s::jsonb) AS d (id smallint, reach_bars integer)
WHERE s.id = d.id AND s.reach_bars IS DISTINCT FROM d.reach_bars
