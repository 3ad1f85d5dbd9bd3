-- What of each day some series hold and lack as of a moment, in candles, one array element a day from `first_ms` on. A day
-- outside the window, or on which the market is closed, expects none. `missing`: overdue; `doubtful`: those of them that no source has; `absent`: established.
WITH asked AS MATERIALIZED (
    SELECT w.series_id, w.step_ms, cut.span,
           cut.span * w.held AS held, cut.span * s.stand_in * w.held AS stand_in,
           cut.span * (said.absent + w.no_trade - w.lost) - w.held AS absent, cut.span * nowhere.silent AS silent,
           CASE WHEN s.calendar IS NULL THEN '{}' ELSE cut.span * closed_of(s.calendar, s.timeframe) - w.held END AS closed
    FROM windows_at(%(at)s, %(settle_ms)s) AS w
    JOIN series AS s ON s.id = w.series_id
    CROSS JOIN LATERAL (
        SELECT int8multirange(int8range(w.start_ms, w.end_ms) * int8range(%(first_ms)s, %(first_ms)s + 86400000 * %(days)s::bigint)) AS span
    ) AS cut
    CROSS JOIN LATERAL absent_everywhere(w.series_id, w.source_ids, %(at)s) AS said
    CROSS JOIN LATERAL silent_everywhere(w.series_id, w.source_ids, %(at)s) AS nowhere
    WHERE w.series_id = ANY (%(series_ids)s::integer[])
)
SELECT series_id, array_agg(expected ORDER BY day_ms) AS expected, array_agg(held ORDER BY day_ms) AS held,
       array_agg(missing ORDER BY day_ms) AS missing, array_agg(doubtful ORDER BY day_ms) AS doubtful,
       array_agg(stand_in ORDER BY day_ms) AS stand_in, array_agg(absent ORDER BY day_ms) AS absent
FROM (
    SELECT a.series_id, d.day_ms, covered_ms(a.span * c.day - a.closed) / a.step_ms AS expected, covered_ms(a.held * c.day) / a.step_ms AS held,
           covered_ms(late.gaps) / a.step_ms AS missing, covered_ms(late.gaps * a.silent) / a.step_ms AS doubtful,
           covered_ms(a.stand_in * c.day) / a.step_ms AS stand_in, covered_ms(a.absent * c.day - a.closed) / a.step_ms AS absent
    FROM asked AS a
    CROSS JOIN generate_series(%(first_ms)s::bigint, %(first_ms)s + 86400000 * (%(days)s::bigint - 1), 86400000) AS d (day_ms)
    CROSS JOIN LATERAL (SELECT int8multirange(int8range(
        grid_ceil(d.day_ms, a.step_ms, 0), grid_ceil(d.day_ms + 86400000, a.step_ms, 0))) AS day) AS c
    CROSS JOIN LATERAL (SELECT (a.span * c.day - a.held - a.absent) * int8multirange(int8range(NULL, %(due_ms)s)) AS gaps OFFSET 0) AS late
) AS cells
GROUP BY series_id
