-- Whether a worker behind a pooler holds the lock.
SELECT EXISTS (
    SELECT FROM claims
    WHERE lock_class = %(lock_class)s AND lock_key = %(lock_key)s AND expires_at >= clock_timestamp()
)
