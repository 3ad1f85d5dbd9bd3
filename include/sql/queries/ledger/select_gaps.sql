-- The gaps of some symbols and timeframes as of a moment, one row a gap, each with the reason why it is one.
SELECT i.symbol, g.timeframe, from_epoch_ms(lower(gap)) AS gap_start, from_epoch_ms(upper(gap)) AS gap_end,
       (upper(gap) - lower(gap)) / g.step_ms AS missing_candles, of_kind.reason
FROM gaps_at(%(at)s, %(settle_ms)s, %(from_ms)s, %(to_ms)s) AS g
JOIN series AS s ON s.id = g.series_id
JOIN instruments AS i ON i.id = g.instrument_id
CROSS JOIN LATERAL silent_everywhere(s.id, s.source_ids, %(at)s) AS nowhere
CROSS JOIN LATERAL (VALUES ('lost', g.gaps * s.lost),
                           ('doubtful', g.gaps * nowhere.silent - s.lost),
                           ('not asked', g.gaps - nowhere.silent - s.lost)) AS of_kind (reason, bars)
CROSS JOIN LATERAL unnest(of_kind.bars) AS gap
WHERE (%(symbols)s::text[] IS NULL OR i.symbol = ANY (%(symbols)s))
  AND (%(timeframes)s::text[] IS NULL OR g.timeframe = ANY (%(timeframes)s))
ORDER BY i.symbol, g.step_ms, gap_start DESC
