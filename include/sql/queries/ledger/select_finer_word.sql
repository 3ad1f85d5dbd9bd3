-- What finer series of the same primary source say of some bars of a series: those inside which one traded, and those that
-- one has asked for whole and found to be without a trade.
WITH coarse AS (
    SELECT s.*, %(bars)s::int8multirange AS asked FROM series AS s WHERE s.id = %(series_id)s
), fine AS (
    SELECT f.*, coarse.asked, coarse.step_ms AS coarse_step_ms, coarse.anchor_ms AS coarse_anchor_ms, coarse.id AS coarse_id
    FROM coarse JOIN series AS f ON f.instrument_id = coarse.instrument_id AND f.source_ids[1] = coarse.source_ids[1]
         AND f.step_ms < coarse.step_ms AND coarse.step_ms %% f.step_ms = 0
), traded AS (
    SELECT DISTINCT grid_floor(epoch_ms(c.open_time), fine.coarse_step_ms, fine.coarse_anchor_ms) AS open_ms
    FROM fine
    CROSS JOIN LATERAL unnest(fine.asked) AS span
    JOIN candles AS c ON c.series_id = fine.id AND c.source_id = fine.source_ids[1] AND c.volume > 0
         AND c.open_time >= from_epoch_ms(lower(span)) AND c.open_time < from_epoch_ms(upper(span))
), silent AS (
    SELECT coalesce(range_agg(known.rest), '{}') AS rest
    FROM fine
    CROSS JOIN LATERAL (
        SELECT fine.asked * (fine.no_trade + coalesce(range_agg(a.absent), '{}') - fine.lost - fine.held
                             + closed_of(fine.calendar, fine.timeframe)) AS rest
        FROM absences AS a
        WHERE a.series_id = fine.id AND a.source_id = fine.source_ids[1] AND a.grade IN ('proved', 'reported') AND a.expires_at > now()
    ) AS known
)
SELECT (SELECT coalesce(range_agg(int8range(t.open_ms, t.open_ms + coarse.step_ms)), '{}') FROM traded AS t, coarse)::text,
       (SELECT coalesce(range_agg(bar.bar), '{}')
        FROM coarse, silent
        CROSS JOIN LATERAL unnest(coarse.asked) AS span
        CROSS JOIN LATERAL generate_series(lower(span), upper(span) - coarse.step_ms, coarse.step_ms) AS open_ms
        CROSS JOIN LATERAL (SELECT int8range(open_ms, open_ms + coarse.step_ms) AS bar) AS bar
        WHERE silent.rest @> bar.bar)::text
