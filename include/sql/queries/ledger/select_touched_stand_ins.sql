-- The stand-ins of one series that another writer has changed, by the source that gave them.
SELECT src.name, range_agg(int8range(epoch_ms(c.open_time), epoch_ms(c.open_time) + s.step_ms))::text
FROM series AS s
CROSS JOIN LATERAL unnest(s.touched * s.stand_in) AS span
JOIN candles AS c ON c.series_id = s.id AND c.open_time >= from_epoch_ms(lower(span)) AND c.open_time < from_epoch_ms(upper(span))
JOIN sources AS src ON src.id = c.source_id
WHERE s.id = %(series_id)s
GROUP BY src.name
ORDER BY src.name
