-- The series with days that changed since they were counted.
SELECT DISTINCT series_id FROM day_changes ORDER BY series_id
