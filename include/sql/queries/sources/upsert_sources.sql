-- The sources of these names, made if new. Only a new name uses up a number: there are no more than 32,767.
WITH known AS MATERIALIZED (
    SELECT name, id FROM sources WHERE name = ANY (%(names)s::text[])
), made AS (
    INSERT INTO sources (name)
    SELECT n.name FROM unnest(%(names)s::text[]) AS n (name) WHERE n.name NOT IN (SELECT name FROM known)
    ON CONFLICT (name) DO UPDATE SET name = excluded.name  -- another process was quicker: take its row
    RETURNING name, id
)
SELECT name, id FROM known UNION ALL SELECT name, id FROM made
