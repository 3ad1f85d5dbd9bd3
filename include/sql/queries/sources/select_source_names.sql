-- The sources by number.
SELECT id, name FROM sources
