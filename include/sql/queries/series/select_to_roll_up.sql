-- What finer series of the same primary source can give to a series in a window, the nearest first: `missing` bars, `stale`
-- ones made of finer bars that were revised since (with `recheck`: all that were made), and of the finer bars those
-- `held` from the primary source, the `silent` ones without trade, and the `settled` ones. No row: not to be rolled up.
-- `trusted`: the sources whose bars count as the primary's, itself and those derived from it. `replaced`: how many of the
-- newest made bars the primary source has returned itself since, `contradicted`: how many of them differed.
WITH coarse AS (
    SELECT s.*, int8multirange(int8range(%(start_ms)s, %(end_ms)s)) AS asked
    FROM series AS s WHERE s.id = %(series_id)s AND s.roll_up
)
SELECT fine.id AS series_id, fine.timeframe,
       coarse.asked - coarse.held - closed_of(coarse.calendar, coarse.timeframe) AS missing,
       made.stale,
       coarse.asked * (fine.held - fine.stand_in) AS held,
       coarse.asked * (fine.no_trade + closed_of(fine.calendar, fine.timeframe) - fine.held) AS silent,
       coarse.asked * fine.settled AS settled,
       ARRAY (SELECT id FROM sources WHERE name LIKE 'derived:%%') || coarse.source_ids[1] AS trusted,
       told.replaced, told.contradicted
FROM coarse
JOIN series AS fine ON fine.instrument_id = coarse.instrument_id AND fine.wanted
     AND fine.source_ids[1] = coarse.source_ids[1]
     AND fine.step_ms < coarse.step_ms AND coarse.step_ms %% fine.step_ms = 0
LEFT JOIN sources AS derived ON derived.name = 'derived:' || fine.timeframe
CROSS JOIN LATERAL (
    SELECT coalesce(range_agg(int8range(epoch_ms(c.open_time), epoch_ms(c.open_time) + coarse.step_ms)), '{}') AS stale
    FROM candles AS c
    WHERE c.series_id = coarse.id AND c.source_id = derived.id
      AND c.open_time >= from_epoch_ms(%(start_ms)s) AND c.open_time < from_epoch_ms(%(end_ms)s)
      AND (%(recheck)s OR c.open_time IN (
          SELECT from_epoch_ms(grid_floor(epoch_ms(r.open_time), coarse.step_ms, coarse.anchor_ms))
          FROM revisions AS r
          WHERE r.series_id = fine.id
            AND r.open_time >= from_epoch_ms(%(start_ms)s) AND r.open_time < from_epoch_ms(%(end_ms)s)))
) AS made
CROSS JOIN LATERAL (
    SELECT count(*) AS replaced,
           count(*) FILTER (WHERE abs(n.new_open - n.open) > 1e-9 * abs(n.open)
                               OR abs(n.new_high - n.high) > 1e-9 * abs(n.high)
                               OR abs(n.new_low - n.low) > 1e-9 * abs(n.low)
                               OR abs(n.new_close - n.close) > 1e-9 * abs(n.close)
                               OR abs(n.new_volume - n.volume) > 1e-9 * abs(n.volume)) AS contradicted
    FROM (
        SELECT * FROM revisions AS r
        WHERE r.series_id = coarse.id AND r.source_id = derived.id AND r.new_source_id = coarse.source_ids[1]
        ORDER BY r.open_time DESC LIMIT %(most_replaced)s
    ) AS n
) AS told
ORDER BY fine.step_ms DESC
