-- One refresh of the instruments at a time, until the transaction ends: two would lock each other's rows.
SELECT pg_advisory_xact_lock(%(lock)s)
