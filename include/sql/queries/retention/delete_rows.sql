-- Rows of a table of the run log.
DELETE FROM {table} WHERE id = ANY (%(ids)s)
