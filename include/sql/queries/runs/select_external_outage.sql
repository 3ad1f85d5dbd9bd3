-- For how many hours every source but the primary sources has failed, with their errors; no row: one has answered since, or
-- none has failed. Sources that were not asked in that time do not count.
WITH external AS (
    SELECT DISTINCT unnest(source_ids[2:]) AS source_id FROM series WHERE wanted
), known AS (
    SELECT h.*, s.name FROM source_health AS h JOIN external USING (source_id) JOIN sources AS s ON s.id = h.source_id
), failing AS (
    SELECT max(first_failure_at) AS since, min(last_failure_at) AS seen,
           array_agg(name || ': ' || coalesce(last_error, '') ORDER BY source_id) AS errors
    FROM known WHERE first_failure_at IS NOT NULL
)
SELECT greatest(extract(epoch FROM seen - since), 0)::double precision / 3600 AS hours, errors
FROM failing
WHERE since IS NOT NULL AND NOT EXISTS (SELECT FROM known WHERE first_failure_at IS NULL AND last_success_at >= since)
