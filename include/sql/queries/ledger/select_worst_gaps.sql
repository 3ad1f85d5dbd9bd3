-- The largest gaps of one series in a window.
SELECT from_epoch_ms(lower(gap)) AS gap_start, from_epoch_ms(upper(gap)) AS gap_end, (upper(gap) - lower(gap)) / s.step_ms AS bars
FROM series AS s
CROSS JOIN LATERAL absent_everywhere(s.id, s.source_ids, now()) AS nowhere
CROSS JOIN LATERAL unnest(int8multirange(int8range(%(start_ms)s, %(end_ms)s)) - s.held
                          - (nowhere.absent + s.no_trade - s.lost) - closed_of(s.calendar, s.timeframe)) AS gap
WHERE s.id = %(series_id)s
ORDER BY bars DESC, gap_start DESC
LIMIT %(most)s
