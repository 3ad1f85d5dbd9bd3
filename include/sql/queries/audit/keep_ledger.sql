-- From here to the commit the audit keeps the ledger, not the triggers.
SELECT set_config('backfill.ledger', 'writer', true)
