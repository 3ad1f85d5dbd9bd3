-- The holder of a claim that is free, run out or ours already; no row: another has it. The transaction's advisory lock
-- keeps out whoever takes the lock by session at this moment.
WITH free AS MATERIALIZED (
    SELECT pg_try_advisory_xact_lock(%(lock_class)s, %(lock_key)s) AS is_free
)
INSERT INTO claims AS c (lock_class, lock_key, holder, claimed_by, expires_at)
SELECT %(lock_class)s, %(lock_key)s, %(holder)s, %(claimed_by)s, clock_timestamp() + %(life)s FROM free WHERE is_free
ON CONFLICT (lock_class, lock_key) DO UPDATE
SET holder = excluded.holder, claimed_by = excluded.claimed_by, claimed_at = now(), expires_at = excluded.expires_at
WHERE c.expires_at < clock_timestamp() OR c.holder = excluded.holder
RETURNING holder
