-- The gaps of one series that no source has a candle for, which is doubted, and has been for some time.
SELECT coalesce((int8multirange(int8range(%(start_ms)s, %(end_ms)s)) - s.held - s.no_trade - s.lost - closed_of(s.calendar, s.timeframe)) * nowhere.silent
                * old.doubtful, '{}')::text
FROM series AS s
CROSS JOIN LATERAL silent_everywhere(s.id, s.source_ids, now()) AS nowhere
CROSS JOIN LATERAL (
    SELECT range_agg(a.absent) AS doubtful FROM absences AS a
    WHERE a.series_id = s.id AND a.grade = 'doubtful' AND a.first_seen_at <= now() - %(age)s::interval
) AS old
WHERE s.id = %(series_id)s
