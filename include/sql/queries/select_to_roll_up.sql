-- What the finer series of the same home may give to a series in a window, the nearest first: `missing` bars, `stale` ones
-- that were made of them and whose own bars have been revised since (with `recheck`: all that were made of them), and of
-- the finer bars those `held` from the home, the `silent` ones that had no trade, and the `settled` ones. No row for a
-- series that is not to be rolled up. `trusted` are the sources whose bars are the home's: itself, and what was made of its.
WITH coarse AS (
    SELECT s.*, int8multirange(int8range(%(start_ms)s, %(end_ms)s)) AS asked
    FROM series AS s WHERE s.id = %(series_id)s AND s.roll_up
)
SELECT fine.id AS series_id, fine.timeframe,
       coarse.asked - coarse.held AS missing,
       made.stale,
       coarse.asked * (fine.held - fine.stand_in) AS held,
       coarse.asked * (fine.no_trade - fine.held) AS silent,
       coarse.asked * fine.settled AS settled,
       ARRAY (SELECT id FROM sources WHERE name LIKE 'derived:%%') || coarse.source_ids[1] AS trusted
FROM coarse
JOIN series AS fine ON fine.instrument_id = coarse.instrument_id AND fine.wanted
     AND fine.source_ids[1] = coarse.source_ids[1]
     AND fine.step_ms < coarse.step_ms AND coarse.step_ms %% fine.step_ms = 0
CROSS JOIN LATERAL (
    SELECT coalesce(range_agg(int8range(epoch_ms(c.open_time), epoch_ms(c.open_time) + coarse.step_ms)), '{}') AS stale
    FROM candles AS c
    WHERE c.series_id = coarse.id
      AND c.open_time >= from_epoch_ms(%(start_ms)s) AND c.open_time < from_epoch_ms(%(end_ms)s)
      AND c.source_id = (SELECT id FROM sources WHERE name = 'derived:' || fine.timeframe)
      AND (%(recheck)s OR c.open_time IN (
          SELECT from_epoch_ms(grid_floor(epoch_ms(r.open_time), coarse.step_ms, coarse.anchor_ms))
          FROM revisions AS r
          WHERE r.series_id = fine.id
            AND r.open_time >= from_epoch_ms(%(start_ms)s) AND r.open_time < from_epoch_ms(%(end_ms)s)))
) AS made
ORDER BY fine.step_ms DESC
