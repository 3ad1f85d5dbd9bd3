-- A page's bars, all of them written by this transaction, are held from now on.
UPDATE series SET held = held + %(bars)s::int8multirange WHERE id = %(series_id)s
