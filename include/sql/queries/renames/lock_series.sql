-- Nobody else changes what is held of two series until the transaction ends.
SELECT id FROM series WHERE id = ANY (%(series_ids)s) ORDER BY id FOR NO KEY UPDATE
