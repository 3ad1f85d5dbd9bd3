-- The breaker of a source; no row: nobody has asked it yet.
SELECT state FROM source_health WHERE source_id = %(source_id)s
