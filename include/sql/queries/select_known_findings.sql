-- Where the open findings of a kind lie that were first seen since a moment.
SELECT coalesce(range_agg(int8range(epoch_ms(start_time), epoch_ms(end_time))), '{}')
FROM findings
WHERE series_id = %(series_id)s AND kind = %(kind)s AND status = 'open' AND found_at >= %(since)s
  AND start_time < %(past)s AND end_time > %(first)s
