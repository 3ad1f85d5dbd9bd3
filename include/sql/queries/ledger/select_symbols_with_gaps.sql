-- The series with something left to try as of a moment, for all series in one pass: first those with bars that will soon
-- have left every source's reach, then the newest first. Beside the gaps
-- that is what others stand in for and the primary source may give after all.
WITH open AS (
    SELECT g.series_id, g.instrument_id, g.timeframe, g.step_ms, g.gaps, '{}'::int8multirange AS restorable
    FROM gaps_at(%(at)s, %(settle_ms)s, %(from_ms)s, %(to_ms)s) AS g
    UNION ALL
    SELECT r.series_id, r.instrument_id, r.timeframe, r.step_ms, '{}', r.restorable
    FROM restorable_at(%(at)s, %(settle_ms)s, %(from_ms)s, %(to_ms)s) AS r
)
SELECT i.symbol, o.timeframe, o.step_ms, sum(covered_ms(o.gaps) / o.step_ms)::bigint AS missing_candles,
       sum(covered_ms(o.restorable) / o.step_ms)::bigint AS restorable_candles,
       max(upper(o.gaps + o.restorable)) AS newest_ms
FROM open AS o
JOIN instruments AS i ON i.id = o.instrument_id
LEFT JOIN leaving_at(%(at)s, %(settle_ms)s, %(from_ms)s, %(to_ms)s) AS l
       ON l.series_id = o.series_id AND NOT isempty(l.leaving)
WHERE (%(symbols)s::text[] IS NULL OR i.symbol = ANY (%(symbols)s))
  AND (%(timeframes)s::text[] IS NULL OR o.timeframe = ANY (%(timeframes)s))
GROUP BY i.symbol, o.timeframe, o.step_ms
ORDER BY min(lower(l.leaving) + l.reach_ms) NULLS LAST, newest_ms DESC, i.symbol, o.step_ms
