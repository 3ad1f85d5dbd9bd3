-- The known splits of the instrument of a series, oldest first.
SELECT p.ratio, epoch_ms(p.after_time) AS after_ms, epoch_ms(p.until_time) AS until_ms
FROM splits AS p JOIN series AS s ON s.instrument_id = p.instrument_id
WHERE s.id = %(series_id)s ORDER BY p.until_time
