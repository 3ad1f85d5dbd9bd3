-- The word that a page was looked at, once it is too old to count; and that it was not verified, now that it is.
DELETE FROM findings
WHERE series_id = %(series_id)s AND field IS NULL AND kind IN ('cross_source', 'next_timeframe')
  AND (last_seen_at < %(before)s
       OR (verdict = 'unverified' AND start_time >= %(first)s AND end_time <= %(past)s))
