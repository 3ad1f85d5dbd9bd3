-- Intervals in which most series of one source and timeframe lack their bars: confirmed absent, or flat bars without volume.
-- A sweep over the edges of each series' intervals counts at every edge how many lack bars and how many are known.
-- Series without an answer in the span do not count, nor do flat bars of a coin that often rests.
WITH told AS MATERIALIZED (
    SELECT c.series_id, c.source_id, s.timeframe, s.step_ms, epoch_ms(c.open_time) AS open_ms,
           c.high = c.low AND c.volume = 0 AS is_flat
    FROM candles AS c JOIN series AS s ON s.id = c.series_id
    WHERE c.open_time >= from_epoch_ms(%(since_ms)s) AND c.open_time < from_epoch_ms(%(at_ms)s)
), quiet_times AS (
    SELECT source_id, timeframe, open_ms FROM told
    GROUP BY source_id, timeframe, open_ms HAVING count(*) FILTER (WHERE is_flat) >= %(share)s * count(*)
), lively AS (
    SELECT t.series_id, t.source_id
    FROM told AS t
    WHERE NOT EXISTS (
        SELECT FROM quiet_times AS q
        WHERE q.source_id = t.source_id AND q.timeframe = t.timeframe AND q.open_ms = t.open_ms)
    GROUP BY t.series_id, t.source_id
    HAVING count(*) FILTER (WHERE t.is_flat) <= %(rests)s * count(*)
), spoken AS (
    SELECT t.series_id, t.source_id, min(t.open_ms) AS first_ms,
           coalesce(range_agg(bar.bar) FILTER (WHERE NOT t.is_flat), '{}') AS traded,
           coalesce(range_agg(bar.bar) FILTER (WHERE t.is_flat AND l.series_id IS NOT NULL), '{}') AS flat
    FROM told AS t
    LEFT JOIN lively AS l USING (series_id, source_id)
    CROSS JOIN LATERAL (SELECT int8range(t.open_ms, t.open_ms + t.step_ms) AS bar) AS bar
    GROUP BY t.series_id, t.source_id
), denied AS (
    SELECT series_id, source_id, range_agg(absent) AS absent FROM absences WHERE grade <> 'refused'
    GROUP BY series_id, source_id
), listed AS (
    SELECT s.id AS series_id, source_id, s.timeframe, i.symbol,
           coalesce(d.absent, '{}') - coalesce(o.traded, '{}') + coalesce(o.flat, '{}') AS lacking,
           coalesce(o.traded, '{}') AS traded,
           greatest(%(since_ms)s, grid_floor(epoch_ms(i.list_time), s.step_ms, s.anchor_ms),
                    CASE WHEN s.source_ids[1] = source_id THEN lower(s.held - s.stand_in) ELSE o.first_ms END) AS first_ms,
           least(%(at_ms)s, epoch_ms(i.expire_time)) AS past_ms,
           CASE WHEN s.source_ids[1] = source_id THEN NOT isempty(s.held - s.stand_in)
                ELSE o.first_ms IS NOT NULL END AS has_told
    FROM denied AS d
    FULL JOIN spoken AS o USING (series_id, source_id)
    JOIN series AS s ON s.id = series_id
    JOIN instruments AS i ON i.id = s.instrument_id
), says AS MATERIALIZED (
    SELECT series_id, source_id, timeframe, symbol, lacking * span.span AS lacking,
           (lacking + traded) * span.span AS speaking
    FROM listed
    CROSS JOIN LATERAL (SELECT int8multirange(int8range(first_ms, past_ms)) AS span) AS span
    WHERE has_told AND first_ms < past_ms
), edges AS (
    SELECT source_id, timeframe, lower(one) AS at_ms, 1 AS lack, 0 AS speak FROM says, unnest(lacking) AS one
    UNION ALL SELECT source_id, timeframe, upper(one), -1, 0 FROM says, unnest(lacking) AS one
    UNION ALL SELECT source_id, timeframe, lower(one), 0, 1 FROM says, unnest(speaking) AS one
    UNION ALL SELECT source_id, timeframe, upper(one), 0, -1 FROM says, unnest(speaking) AS one
), swept AS (
    SELECT source_id, timeframe, at_ms, lead(at_ms) OVER over_time AS until_ms,
           sum(sum(lack)) OVER over_time AS n, sum(sum(speak)) OVER over_time AS m
    FROM edges
    GROUP BY source_id, timeframe, at_ms
    WINDOW over_time AS (PARTITION BY source_id, timeframe ORDER BY at_ms)
), outages AS (
    SELECT source_id, timeframe, min(at_ms) AS start_ms, max(until_ms) AS end_ms, max(n) AS n, max(m) AS m
    FROM (
        SELECT *, count(*) FILTER (WHERE starts) OVER (PARTITION BY source_id, timeframe ORDER BY at_ms) AS island
        FROM (
            SELECT *, lag(until_ms) OVER (PARTITION BY source_id, timeframe ORDER BY at_ms) IS DISTINCT FROM at_ms AS starts
            FROM swept WHERE n >= %(fewest)s AND n >= %(share)s * m
        ) AS most_lack
    ) AS numbered
    GROUP BY source_id, timeframe, island
)
SELECT o.source_id, src.name AS source, o.timeframe, o.end_ms, o.n::integer AS series, o.m::integer AS of_series,
       least(o.start_ms, (
           SELECT epoch_ms(min(f.start_time)) FROM findings AS f  -- it began before the span, and was found then
           WHERE f.kind = 'source_outage' AND f.source_id = o.source_id AND f.field = o.timeframe
             AND o.start_ms <= %(since_ms)s AND f.start_time < from_epoch_ms(o.start_ms)
             AND f.end_time >= from_epoch_ms(o.start_ms))) AS start_ms,
       ARRAY (
           SELECT s.symbol FROM says AS s
           WHERE s.source_id = o.source_id AND s.timeframe = o.timeframe AND s.lacking && int8range(o.start_ms, o.end_ms)
           ORDER BY s.symbol LIMIT %(most_symbols)s) AS symbols
FROM outages AS o JOIN sources AS src ON src.id = o.source_id
ORDER BY start_ms, o.source_id, o.timeframe
