-- How many more connections this role and database may open (NULL: no bound but the server's), and what would end ours.
WITH used AS (
    SELECT count(*) AS of_server, count(*) FILTER (WHERE usename = current_user) AS of_role,
           count(*) FILTER (WHERE datname = current_database()) AS of_database
    FROM pg_stat_activity  -- of others' sessions a plain role sees no type
    WHERE datid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend' AND pid <> pg_backend_pid()
), bounds AS (
    SELECT r.rolconnlimit AS of_role, d.datconnlimit AS of_database,
           current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS of_server
    FROM pg_roles AS r, pg_database AS d WHERE r.rolname = current_user AND d.datname = current_database()
)
SELECT least(CASE WHEN b.of_role >= 0 THEN b.of_role - u.of_role END,
             CASE WHEN b.of_database >= 0 THEN b.of_database - u.of_database END,
             b.of_server - u.of_server) AS connections_left,
       current_setting('statement_timeout') AS statement_timeout,
       current_setting('lock_timeout') AS lock_timeout,
       current_setting('idle_in_transaction_session_timeout') AS idle_in_transaction_session_timeout,
       current_setting('transaction_read_only') AS transaction_read_only, pg_is_in_recovery() AS is_standby,
       current_setting('server_encoding') AS server_encoding
FROM used AS u, bounds AS b
