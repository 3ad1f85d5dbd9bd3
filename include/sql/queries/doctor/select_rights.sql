-- What the current role lacks to do what a reader, a writer and the owner do: one row a missing right, in the words of GRANT.
-- A partition is reached by way of its parent.
WITH needed AS (
    SELECT c.relname AS name, format('%s ON backfill.%I', p.privilege, c.relname) AS what, p.kind,
           has_table_privilege(c.oid, p.privilege) AS has
    FROM pg_class AS c
    CROSS JOIN (VALUES ('reader', 'SELECT'), ('writer', 'INSERT'), ('writer', 'UPDATE'), ('writer', 'DELETE'))
         AS p (kind, privilege)
    WHERE c.relnamespace = to_regnamespace('backfill') AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
      AND NOT (c.relkind = 'v' AND p.kind = 'writer') AND NOT (c.relname = 'schema_migrations' AND p.kind = 'writer')
    UNION ALL
    SELECT 'backfill', 'USAGE ON SCHEMA backfill', 'reader', has_schema_privilege('backfill', 'USAGE')
    UNION ALL
    SELECT 'ensure_candle_partitions', 'EXECUTE ON FUNCTION backfill.ensure_candle_partitions', 'writer',
           has_function_privilege(p.oid, 'EXECUTE')
           AND (p.prosecdef OR pg_has_role(p.proowner, 'USAGE'))
    FROM pg_proc AS p
    WHERE p.pronamespace = to_regnamespace('backfill') AND p.proname = 'ensure_candle_partitions'
    UNION ALL
    SELECT 'owner', 'ownership of the schema''s tables', 'owner', bool_and(pg_has_role(c.relowner, 'USAGE'))
    FROM pg_class AS c
    WHERE c.relnamespace = to_regnamespace('backfill') AND c.relkind IN ('r', 'p')
)
SELECT kind, what FROM needed WHERE NOT has ORDER BY array_position(ARRAY['reader', 'writer', 'owner'], kind), what
