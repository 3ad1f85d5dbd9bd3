-- What sources answered before a moment, oldest id first.
SELECT id FROM source_attempts
WHERE id > %(after_id)s AND recorded_at < %(before)s
ORDER BY id LIMIT %(most)s
