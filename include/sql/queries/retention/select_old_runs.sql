-- Ended runs from before a moment, oldest id first. Kept are those that a revision, a row in quarantine, a finding or an
-- absence names, and each series' last fill and last validation.
SELECT r.id FROM gap_fill_runs AS r
WHERE r.id > %(after_id)s AND r.started_at < %(before)s AND r.status <> 'running'
  AND NOT EXISTS (SELECT FROM revisions AS o WHERE o.fill_run_id = r.id)
  AND NOT EXISTS (SELECT FROM quarantine AS o WHERE o.fill_run_id = r.id)
  AND NOT EXISTS (SELECT FROM findings AS o WHERE o.fill_run_id = r.id)
  AND NOT EXISTS (SELECT FROM absences AS o WHERE o.fill_run_id = r.id)
  AND EXISTS (SELECT FROM gap_fill_runs AS later
              WHERE later.series_id = r.series_id AND later.started_at > r.started_at
                AND (later.validation IS NULL) = (r.validation IS NULL))
ORDER BY r.id LIMIT %(most)s
