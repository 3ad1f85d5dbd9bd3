-- The series with something left to try as of a moment, for all series in one pass; the newest gap first.
SELECT i.symbol, w.timeframe, w.step_ms, covered_ms(open.gaps) / w.step_ms AS missing_candles, upper(open.gaps) AS newest_ms
FROM windows_at(%(at)s, %(settle_ms)s, %(from_ms)s, %(to_ms)s) AS w
JOIN instruments AS i ON i.id = w.instrument_id
CROSS JOIN LATERAL (
    SELECT int8multirange(int8range(w.start_ms, w.end_ms)) - w.held
         - absent_everywhere(w.series_id, w.source_ids, %(at)s) AS gaps
) AS open
WHERE NOT isempty(open.gaps)
  AND (%(symbols)s::text[] IS NULL OR i.symbol = ANY (%(symbols)s))
  AND (%(timeframes)s::text[] IS NULL OR w.timeframe = ANY (%(timeframes)s))
ORDER BY newest_ms DESC, i.symbol, w.step_ms
