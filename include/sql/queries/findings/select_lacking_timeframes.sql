-- The timeframes of which a source gave no bar when it was asked, within `life`, for proof of a series.
SELECT coalesce(array_agg(DISTINCT detail ->> 'timeframe'), '{}')
FROM findings
WHERE series_id = %(series_id)s AND source_id = %(source_id)s AND kind = 'next_timeframe' AND verdict = 'unverified'
  AND field IS NULL AND detail ? 'timeframe' AND last_seen_at > now() - %(life)s::interval
