-- What of one series may be handed on: what is held; what may still come (gaps); of that, what no source has, which is
-- not believed; and where an open finding says that a bar may be wrong.
SELECT s.held,
       span.bars - s.held - (everywhere.absent + s.no_trade - s.lost) - closed_of(s.calendar, s.timeframe) AS gaps,
       span.bars * nowhere.silent - s.held - (everywhere.absent + s.no_trade) - s.lost - closed_of(s.calendar, s.timeframe) AS doubtful,
       coalesce((
           SELECT range_agg(int8range(grid_floor(epoch_ms(f.start_time), s.step_ms, s.anchor_ms),
                                      greatest(epoch_ms(f.end_time),
                                               grid_floor(epoch_ms(f.start_time), s.step_ms, s.anchor_ms) + s.step_ms)))
           FROM findings AS f
           WHERE f.series_id = s.id AND f.status = 'open' AND f.start_time IS NOT NULL
       ), '{}') * span.bars AS questioned
FROM series AS s
CROSS JOIN (SELECT int8multirange(int8range(%(start_ms)s::bigint, %(end_ms)s::bigint)) AS bars) AS span
CROSS JOIN LATERAL absent_everywhere(s.id, s.source_ids, %(at)s) AS everywhere
CROSS JOIN LATERAL silent_everywhere(s.id, s.source_ids, %(at)s) AS nowhere
WHERE s.id = %(series_id)s
