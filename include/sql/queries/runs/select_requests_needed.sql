-- About how many pages each incomplete series needs from its primary source: its gaps one by one where they lie far apart,
-- else what they span.
SELECT g.symbol, g.timeframe, least(g.pages_apart, g.pages_in_span)::integer AS pages
FROM (
    SELECT i.symbol, o.timeframe,
           sum(ceil((upper(gap) - lower(gap))::numeric / (o.step_ms * %(rows_per_page)s))) AS pages_apart,
           ceil((max(upper(gap)) - min(lower(gap)))::numeric / (o.step_ms * %(rows_per_page)s)) AS pages_in_span
    FROM gaps_at(%(at)s, %(settle_ms)s, %(from_ms)s, %(to_ms)s) AS o
    JOIN series AS s ON s.id = o.series_id
    JOIN sources AS prime ON prime.id = s.source_ids[1] AND prime.name = %(primary)s
    JOIN instruments AS i ON i.id = o.instrument_id
    CROSS JOIN LATERAL unnest(o.gaps) AS gap
    GROUP BY i.symbol, o.timeframe, o.step_ms
) AS g
WHERE (%(symbols)s::text[] IS NULL OR g.symbol = ANY (%(symbols)s))
  AND (%(timeframes)s::text[] IS NULL OR g.timeframe = ANY (%(timeframes)s))
