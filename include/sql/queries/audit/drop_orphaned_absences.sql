-- What sources have denied of a series that does not exist: it can be asked again, and runs out by itself.
DELETE FROM absences AS a
WHERE a.series_id = %(series_id)s AND NOT EXISTS (SELECT FROM series AS s WHERE s.id = a.series_id)
