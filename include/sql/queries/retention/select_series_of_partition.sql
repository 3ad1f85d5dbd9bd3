-- The series that have rows in one table, one step of the index for each.
WITH RECURSIVE found AS (
    (SELECT series_id FROM {table} ORDER BY series_id LIMIT 1)
    UNION ALL
    SELECT (SELECT t.series_id FROM {table} AS t WHERE t.series_id > f.series_id ORDER BY t.series_id LIMIT 1)
    FROM found AS f WHERE f.series_id IS NOT NULL
)
SELECT series_id FROM found WHERE series_id IS NOT NULL
