-- Series whose candle count in sync_status differs from the candles stored, both as of one moment.
SELECT s.id AS series_id, status.total_candles AS told, coalesce(counted.bars, 0) AS stored
FROM sync_status_at(%(at)s) AS status
JOIN instruments AS i USING (symbol)
JOIN series AS s ON s.instrument_id = i.id AND s.timeframe = status.timeframe
LEFT JOIN (SELECT series_id, count(*) AS bars FROM candles GROUP BY series_id) AS counted ON counted.series_id = s.id
WHERE status.total_candles <> coalesce(counted.bars, 0)
  AND (%(series_ids)s::integer[] IS NULL OR s.id = ANY (%(series_ids)s))
ORDER BY s.id
