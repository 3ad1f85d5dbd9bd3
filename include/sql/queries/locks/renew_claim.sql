-- Ours for longer, and nobody else's until the transaction ends; no row: another has taken it over.
UPDATE claims SET expires_at = clock_timestamp() + %(life)s
WHERE lock_class = %(lock_class)s AND lock_key = %(lock_key)s AND holder = %(holder)s
RETURNING holder
