-- Take back what is recorded of some series between two times (no first_ms: of all before), as their candles go: the ledger,
-- absences, and page checks; findings that were open there are settled. Returns how many bars each of them held there.
WITH gone AS MATERIALIZED (
    SELECT s.id, covered_ms(s.held * cut.span) / s.step_ms AS bars, cut.span
    FROM series AS s
    CROSS JOIN LATERAL (
        SELECT int8multirange(int8range(grid_ceil(%(first_ms)s::bigint, s.step_ms, s.anchor_ms),
                                        grid_ceil(%(past_ms)s::bigint, s.step_ms, s.anchor_ms))) AS span
        OFFSET 0
    ) AS cut
    WHERE s.id = ANY (%(series_ids)s)
), ledger AS (
    UPDATE series AS s
    SET held = s.held - g.span, stand_in = s.stand_in - g.span, settled = s.settled - g.span,
        no_trade = s.no_trade - g.span, lost = s.lost - g.span
    FROM gone AS g
    WHERE s.id = g.id AND (s.held + s.stand_in + s.settled + s.no_trade + s.lost) && g.span
), forgotten AS (
    DELETE FROM absences AS a USING gone AS g WHERE a.series_id = g.id AND a.absent <@ g.span
), trimmed AS (
    UPDATE absences AS a SET absent = a.absent - g.span
    FROM gone AS g WHERE a.series_id = g.id AND a.absent && g.span AND NOT a.absent <@ g.span
), unchecked AS (
    DELETE FROM findings AS f USING gone AS g
    WHERE f.series_id = g.id AND f.field IS NULL AND f.kind IN ('cross_source', 'next_timeframe')
      AND int8range(epoch_ms(f.start_time), epoch_ms(f.end_time)) <@ g.span
), settled AS (
    UPDATE findings AS f
    SET status = 'settled', settled_at = now(), detail = f.detail || '{"settled_by": "retention"}'
    FROM gone AS g
    WHERE f.series_id = g.id AND f.status = 'open' AND isfinite(f.start_time)
      AND NOT (f.field IS NULL AND f.kind IN ('cross_source', 'next_timeframe'))
      AND int8range(epoch_ms(f.start_time), greatest(epoch_ms(f.end_time), epoch_ms(f.start_time)), '[]') <@ g.span
)
SELECT id AS series_id, bars FROM gone
