-- Counted answers of sources.
DELETE FROM source_attempts WHERE id = ANY (%(ids)s)
