-- A check has looked at a span again and these are no longer there.
UPDATE findings
SET status = 'settled', settled_at = now()
WHERE series_id IS NOT DISTINCT FROM %(series_id)s AND kind = ANY (%(kinds)s) AND status = 'open'
  AND (%(source_id)s::smallint IS NULL OR source_id = %(source_id)s)
  AND start_time >= %(first)s AND start_time < %(past)s AND id <> ALL (%(still_there)s)
