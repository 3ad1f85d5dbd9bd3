-- The missing bars of some symbols and timeframes that leave the reach of every source they may be asked of, the first of
-- them first; of bars that opened before a moment.
SELECT i.symbol, l.timeframe, covered_ms(left_over.bars) / l.step_ms AS bars, from_epoch_ms(lower(left_over.bars)) AS first_bar,
       from_epoch_ms(lower(left_over.bars) + l.reach_ms) AS leaves_at
FROM leaving_at(%(at)s, %(settle_ms)s, %(from_ms)s, %(to_ms)s) AS l
JOIN instruments AS i ON i.id = l.instrument_id
CROSS JOIN LATERAL (
    SELECT l.leaving * int8multirange(int8range(NULL, epoch_ms(%(at)s) - %(excused_ms)s)) AS bars OFFSET 0
) AS left_over
WHERE NOT isempty(left_over.bars)
  AND (%(symbols)s::text[] IS NULL OR i.symbol = ANY (%(symbols)s))
  AND (%(timeframes)s::text[] IS NULL OR l.timeframe = ANY (%(timeframes)s))
ORDER BY leaves_at, i.symbol, l.step_ms
