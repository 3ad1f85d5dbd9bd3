-- The sources of these names, made if new.
WITH named AS (SELECT unnest(%(names)s::text[]) AS name),
made AS (INSERT INTO sources (name) SELECT name FROM named ON CONFLICT (name) DO NOTHING RETURNING id, name)
SELECT name, id FROM made UNION SELECT s.name, s.id FROM sources AS s JOIN named USING (name)
