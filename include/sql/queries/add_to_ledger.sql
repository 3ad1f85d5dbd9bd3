-- A page's bars are held from now on, whoever stored them first.
UPDATE series SET held = held + %(bars)s::int8multirange WHERE id = %(series_id)s
