-- All that is held of one series, whatever its window.
SELECT held::text FROM series WHERE id = %(series_id)s
