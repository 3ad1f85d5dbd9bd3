-- Bars that another writer had changed, and that the primary source has given again since.
UPDATE series SET touched = touched - settled WHERE id = %(series_id)s AND touched && settled
