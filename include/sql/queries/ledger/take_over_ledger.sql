-- Which of a page's bars are held already. From here to the commit we keep the ledger, not the triggers, and the commit
-- does not wait for the disk.
SELECT held * %(bars)s::int8multirange,
       set_config('backfill.ledger', 'writer', true), set_config('synchronous_commit', 'off', true)
FROM series WHERE id = %(series_id)s
