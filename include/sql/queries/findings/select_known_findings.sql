-- Where the open findings of a kind lie that have been seen before on this day of theirs; their days count from when they
-- were found.
SELECT coalesce(range_agg(int8range(epoch_ms(start_time), epoch_ms(end_time))), '{}')
FROM findings
WHERE series_id = %(series_id)s AND kind = %(kind)s AND status = 'open'
  AND date_bin('1 day', last_seen_at, found_at) >= date_bin('1 day', %(at)s, found_at)
  AND start_time < %(past)s AND end_time > %(first)s
