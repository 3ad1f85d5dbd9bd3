-- Recorded absences of a series that does not exist.
DELETE FROM absences AS a
WHERE a.series_id = %(series_id)s AND NOT EXISTS (SELECT FROM series AS s WHERE s.id = a.series_id)
