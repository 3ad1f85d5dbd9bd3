-- The sources that have nothing but a spot market for the instrument of a series.
SELECT l.source_id
FROM series AS s JOIN listings AS l ON l.instrument_id = s.instrument_id AND l.status = 'proved'
WHERE s.id = %(series_id)s
GROUP BY l.source_id
HAVING bool_and(l.instrument_class = 'spot_proxy')
