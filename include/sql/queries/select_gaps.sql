-- The gaps of some symbols and timeframes as of a moment, one row a gap.
SELECT i.symbol, w.timeframe, from_epoch_ms(lower(gap)) AS gap_start, from_epoch_ms(upper(gap)) AS gap_end,
       (upper(gap) - lower(gap)) / w.step_ms AS missing_candles
FROM windows_at(%(at)s, %(settle_ms)s, %(from_ms)s, %(to_ms)s) AS w
JOIN instruments AS i ON i.id = w.instrument_id
CROSS JOIN LATERAL unnest(
    int8multirange(int8range(w.start_ms, w.end_ms)) - w.held
    - absent_everywhere(w.series_id, w.source_ids, %(at)s)
) AS gap
WHERE (%(symbols)s::text[] IS NULL OR i.symbol = ANY (%(symbols)s))
  AND (%(timeframes)s::text[] IS NULL OR w.timeframe = ANY (%(timeframes)s))
ORDER BY i.symbol, w.step_ms, gap_start DESC
