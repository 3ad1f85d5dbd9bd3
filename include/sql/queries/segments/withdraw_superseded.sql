-- A superseded segment that is not claimed yet is not handed out any more; its path, if so.
UPDATE segments SET status = 'deleted' WHERE id = %(id)s AND status = 'downloaded' RETURNING path
