-- Lost bars that have been had since, from whomever.
UPDATE findings AS f
SET status = 'settled', settled_at = now()
FROM series AS s
WHERE s.id = %(series_id)s AND f.series_id = s.id AND f.kind = 'lost_bars' AND f.status = 'open'
  AND int8range(epoch_ms(f.start_time), epoch_ms(f.end_time)) <@ s.held
