-- Three roles without a login, to be granted to the logins that you make: owner, writer, reader.
--
--     psql -d candles -f include/sql/roles.sql          as a role that may create roles, before or after `backfill migrate`
--     GRANT candles_writer TO airflow;                  the Dags and `backfill fill`
--     GRANT candles_reader TO analyst;                  status, gaps, explain, findings, doctor, fill --dry-run
--     GRANT candles_owner TO dba;                       `backfill migrate`, candles_maintain, prune: what changes tables
--
-- A writer has no right to create or drop anything: the months' partitions are made in the owner's name by
-- ensure_candle_partitions. No role needs TEMP. It may be run again at any time.

DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['candles_owner', 'candles_writer', 'candles_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
        END IF;
    END LOOP;
    IF to_regnamespace('backfill') IS NULL THEN
        CREATE SCHEMA backfill AUTHORIZATION candles_owner;
    END IF;
END
$$;

GRANT USAGE ON SCHEMA backfill TO candles_writer, candles_reader;
GRANT USAGE, CREATE ON SCHEMA backfill TO candles_owner;
GRANT SELECT ON ALL TABLES IN SCHEMA backfill TO candles_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA backfill TO candles_writer;

-- What later migrations and months add, by whoever runs this and by the owner.
ALTER DEFAULT PRIVILEGES IN SCHEMA backfill GRANT SELECT ON TABLES TO candles_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA backfill GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO candles_writer;
ALTER DEFAULT PRIVILEGES FOR ROLE candles_owner IN SCHEMA backfill GRANT SELECT ON TABLES TO candles_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE candles_owner IN SCHEMA backfill
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO candles_writer;

DO $$
BEGIN
    IF to_regprocedure('backfill.ensure_candle_partitions(timestamptz, timestamptz)') IS NOT NULL THEN
        GRANT EXECUTE ON FUNCTION backfill.ensure_candle_partitions(timestamptz, timestamptz) TO candles_writer;
    END IF;
END
$$;
