-- Candles of series or sources that do not exist, or from sources that the series does not name. Manual candles and those
-- derived from our own are always allowed.
SELECT counted.series_id, s.id IS NULL AS is_orphan, counted.source_id, src.name AS source, counted.bars
FROM (SELECT series_id, source_id, count(*) AS bars FROM candles GROUP BY series_id, source_id) AS counted
LEFT JOIN series AS s ON s.id = counted.series_id
LEFT JOIN sources AS src ON src.id = counted.source_id
WHERE (%(series_ids)s::integer[] IS NULL OR counted.series_id = ANY (%(series_ids)s))
  AND (s.id IS NULL OR src.id IS NULL
       OR (counted.source_id <> ALL (s.source_ids) AND src.name <> 'manual' AND src.name NOT LIKE 'derived:%%'))
ORDER BY counted.series_id, counted.source_id
