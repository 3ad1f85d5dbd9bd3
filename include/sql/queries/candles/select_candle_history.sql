-- Every self of one bar, the oldest first, each with the run that has replaced it (NULL: by hand, or not logged).
SELECT h.version, h.open, h.high, h.low, h.close, h.volume, h.quote_volume, h.source, h.is_current, h.reason, h.note,
       h.replaced_at, h.fill_run_id, r.dag_id, r.run_id, r.task_id
FROM candle_history AS h LEFT JOIN gap_fill_runs AS r ON r.id = h.fill_run_id
WHERE h.symbol = %(symbol)s AND h.timeframe = %(timeframe)s AND h.open_time = %(open_time)s
ORDER BY h.version
