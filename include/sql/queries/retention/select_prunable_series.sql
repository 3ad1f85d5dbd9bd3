-- The wanted series that keep no more than a retention, and the open time of the first bar that they keep: their windows
-- never start before it, whatever is asked for.
SELECT w.series_id, grid_ceil(w.end_ms - s.retention_ms, s.step_ms, s.anchor_ms) AS keeps_from_ms
FROM windows_at(%(at)s, %(settle_ms)s) AS w
JOIN series AS s ON s.id = w.series_id
WHERE s.retention_ms IS NOT NULL
