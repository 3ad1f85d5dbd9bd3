-- The primary sources of the wanted series of some symbols and timeframes.
SELECT src.name
FROM sources AS src
WHERE EXISTS (
    SELECT FROM series AS s
    JOIN instruments AS i ON i.id = s.instrument_id
    WHERE s.wanted AND s.source_ids[1] = src.id
      AND (%(symbols)s::text[] IS NULL OR i.symbol = ANY (%(symbols)s))
      AND (%(timeframes)s::text[] IS NULL OR s.timeframe = ANY (%(timeframes)s))
)
ORDER BY src.id
