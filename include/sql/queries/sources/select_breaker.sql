-- The breaker of a source; no row: it was never asked.
SELECT state FROM source_health WHERE source_id = %(source_id)s
