-- Findings of these kinds that the audit which began at a moment has not seen again; of all series, or of some.
UPDATE findings
SET status = 'settled', settled_at = now()
WHERE kind = ANY (%(kinds)s) AND status = 'open' AND last_seen_at < %(began)s
  AND (%(series_ids)s::integer[] IS NULL OR series_id = ANY (%(series_ids)s))
