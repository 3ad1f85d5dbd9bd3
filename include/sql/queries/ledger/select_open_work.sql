-- What one series lacks in a window, as of a moment: the gaps anybody may still fill, and what is left to ask of one
-- source. Of the primary source that is also what others stand in for. With recheck no earlier answer of the source is believed.
-- It is asked several times a series: the sums are those of covered_ms, whose call costs more than they do.
WITH span AS (
    SELECT s.id, s.source_ids, s.step_ms, s.held, s.no_trade, s.lost,
           CASE WHEN s.calendar IS NULL THEN '{}' ELSE closed_of(s.calendar, s.timeframe) END AS closed,
           CASE WHEN s.source_ids[1] = %(source_id)s THEN s.stand_in ELSE '{}' END AS restorable,
           int8multirange(int8range(%(start_ms)s, %(end_ms)s)) AS wanted
    FROM series AS s WHERE s.id = %(series_id)s
), said AS (
    SELECT coalesce(range_agg(absent), '{}') AS absent
    FROM absences
    WHERE series_id = %(series_id)s AND source_id = %(source_id)s
      AND expires_at > now() AND NOT %(recheck)s
), counted AS (
    SELECT span.*, span.wanted - span.held - (nowhere.absent + span.no_trade - span.lost) - span.closed AS gaps,
           span.wanted - (span.held - span.restorable) - said.absent - span.closed
           - CASE WHEN %(recheck)s THEN '{}' ELSE span.no_trade END AS askable
    FROM span, said, absent_everywhere(span.id, span.source_ids, now()) AS nowhere
)
SELECT (SELECT coalesce(sum(upper(one) - lower(one)), 0)::bigint FROM unnest(wanted * held) AS one) / step_ms AS held_candles,
       missing.ms / step_ms AS missing_candles,
       missing.gaps AS gaps_found,
       askable
FROM counted
CROSS JOIN LATERAL (
    SELECT coalesce(sum(upper(gap) - lower(gap)), 0)::bigint AS ms, count(*) AS gaps FROM unnest(counted.gaps) AS gap
) AS missing
