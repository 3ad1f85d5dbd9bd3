-- Stand-ins that another writer had changed, and that their own source has given again.
UPDATE series SET touched = touched - %(bars)s::int8multirange WHERE id = %(series_id)s AND touched && %(bars)s::int8multirange
