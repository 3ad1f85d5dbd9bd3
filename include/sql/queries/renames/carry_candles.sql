-- Bars of a former name's series into the new one's, at its scale and from their sources. The triggers keep the ledger.
INSERT INTO candles (series_id, open_time, open, high, low, close, volume, quote_volume, source_id)
SELECT %(series_id)s, c.open_time, c.open / %(divisor)s, c.high / %(divisor)s, c.low / %(divisor)s, c.close / %(divisor)s,
       c.volume * %(divisor)s, c.quote_volume, c.source_id
FROM candles AS c JOIN series AS s ON s.id = c.series_id
WHERE c.series_id = %(from_series_id)s AND c.open_time >= %(first)s AND c.open_time < %(past)s
  AND (epoch_ms(c.open_time) - s.anchor_ms) %% s.step_ms = 0
ON CONFLICT (series_id, open_time) DO NOTHING
