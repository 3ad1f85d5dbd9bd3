-- Nobody else changes what is held of a series until the transaction ends, and we keep the ledger, not the triggers.
SELECT set_config('backfill.ledger', 'writer', true) FROM series WHERE id = %(series_id)s FOR NO KEY UPDATE
