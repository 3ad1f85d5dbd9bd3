-- Who holds a lock, in words: a server session or a claim.
SELECT format('session %%s of role %%s%%s, %%s', a.pid, a.usename, ' at ' || host(a.client_addr),
              coalesce(nullif(a.application_name, ''), 'no name'))
FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid = %(lock_class)s::integer::oid AND l.objid = %(lock_key)s::integer::oid
UNION ALL
SELECT format('%%s, unless it renews its claim until %%s', claimed_by, to_char(expires_at, 'HH24:MI:SS "UTC"'))
FROM claims
WHERE lock_class = %(lock_class)s AND lock_key = %(lock_key)s AND expires_at >= clock_timestamp()
LIMIT 1
