-- For how many hours every source but the homes has failed to answer, of those that were asked in that time; NULL: one of
-- them answered, or none was asked.
WITH external AS (
    SELECT DISTINCT unnest(source_ids[2:]) AS source_id FROM series WHERE wanted
), known AS (
    SELECT h.* FROM source_health AS h JOIN external USING (source_id) WHERE h.last_failure_at IS NOT NULL
)
SELECT extract(epoch FROM now() - max(coalesce(last_success_at, first_failure_at)))::double precision / 3600 AS hours,
       array_agg((SELECT name FROM sources WHERE id = source_id) || ': ' || coalesce(last_error, '')) AS errors
FROM known
HAVING count(*) = (SELECT count(*) FROM external) AND count(*) > 0
   AND bool_and(last_failure_at > coalesce(last_success_at, '-infinity'))
