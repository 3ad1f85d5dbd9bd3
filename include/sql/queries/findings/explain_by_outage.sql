-- What was found in single series is explained by an outage of their source that spans it.
UPDATE findings AS f
SET status = 'settled', settled_at = now(), detail = f.detail || jsonb_build_object('outage', %(outage_id)s::bigint)
FROM series AS s
WHERE s.id = f.series_id AND s.timeframe = %(timeframe)s AND f.kind = ANY (%(kinds)s) AND f.status = 'open'
  AND (f.source_id IS NULL OR f.source_id = %(source_id)s)
  AND f.start_time >= from_epoch_ms(%(start_ms)s) AND f.end_time <= from_epoch_ms(%(end_ms)s)
