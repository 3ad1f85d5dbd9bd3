-- What has been logged of the instruments since an entry, the oldest first.
SELECT id, instrument, at, what, old, new FROM instrument_log WHERE id > %(last_id)s ORDER BY id
