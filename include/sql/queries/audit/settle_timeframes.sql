-- Findings of these kinds that the audit which began at a moment has not seen again where it has looked at a series.
UPDATE findings
SET status = 'settled', settled_at = now()
WHERE kind = ANY (%(kinds)s) AND status = 'open' AND last_seen_at < %(began)s
  AND series_id = %(series_id)s AND source_id = %(source_id)s
  AND epoch_ms(start_time) <@ %(looked_at)s::int8multirange
