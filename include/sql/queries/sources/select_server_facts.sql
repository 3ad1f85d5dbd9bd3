-- The server's major version, and its clock in seconds since the epoch.
SELECT current_setting('server_version_num')::int / 10000 AS major,
       extract(epoch FROM clock_timestamp())::double precision AS epoch_s
