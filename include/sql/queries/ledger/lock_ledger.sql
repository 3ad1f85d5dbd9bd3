-- Nobody else changes what is held of a series until the transaction ends.
SELECT FROM series WHERE id = %(series_id)s FOR NO KEY UPDATE
