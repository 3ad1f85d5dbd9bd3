-- The gaps of one series that another timeframe shows to be lost, and of which there is no finding.
SELECT (int8multirange(int8range(%(start_ms)s, %(end_ms)s)) * s.lost - s.held - closed_of(s.calendar, s.timeframe)
        - coalesce((SELECT range_agg(int8range(epoch_ms(f.start_time), epoch_ms(f.end_time)))
                    FROM findings AS f
                    WHERE f.series_id = s.id AND f.kind = 'lost_bars' AND f.status <> 'settled'), '{}'))::text
FROM series AS s
WHERE s.id = %(series_id)s
