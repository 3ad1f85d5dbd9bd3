-- Rows of the run log.
DELETE FROM gap_fill_runs WHERE id = ANY (%(ids)s)
