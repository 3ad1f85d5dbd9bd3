-- Rows beside the candles that name a series which does not exist; of findings the open ones.
SELECT o.of_table, o.series_id, count(*) AS rows
FROM (
    SELECT 'absences' AS of_table, series_id FROM absences
    UNION ALL SELECT 'revisions', series_id FROM revisions
    UNION ALL SELECT 'quarantine', series_id FROM quarantine
    UNION ALL SELECT 'findings', series_id FROM findings WHERE series_id IS NOT NULL AND status = 'open'
) AS o
WHERE NOT EXISTS (SELECT FROM series AS s WHERE s.id = o.series_id)
GROUP BY o.of_table, o.series_id
ORDER BY o.of_table, o.series_id
