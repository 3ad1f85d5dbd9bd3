-- What was found in single series is explained by an outage of their source that spans it. Of a series that was flat for
-- most of it, so is what was found on its way there and at its end.
UPDATE findings AS f
SET status = 'settled', settled_at = now(), detail = f.detail || jsonb_build_object('outage', %(outage_id)s::bigint)
FROM series AS s
WHERE s.id = f.series_id AND s.timeframe = %(timeframe)s AND f.status = 'open'
  AND (f.source_id IS NULL OR f.source_id = %(source_id)s)
  AND (
      (f.kind = ANY (%(kinds)s)
          AND f.start_time >= from_epoch_ms(%(start_ms)s) AND f.end_time <= from_epoch_ms(%(end_ms)s))
      OR (f.kind = ANY (%(kinds_around)s)
          AND f.start_time >= from_epoch_ms(%(start_ms)s - greatest(%(around_ms)s, s.step_ms))
          AND f.start_time <= from_epoch_ms(%(end_ms)s)
          AND f.end_time <= from_epoch_ms(%(end_ms)s + greatest(%(around_ms)s, s.step_ms))
          AND (
              SELECT 2 * count(*) * s.step_ms >= %(end_ms)s - %(start_ms)s
              FROM candles AS c
              WHERE c.series_id = s.id AND c.open_time >= from_epoch_ms(%(start_ms)s)
                AND c.open_time < from_epoch_ms(%(end_ms)s) AND c.high = c.low AND c.volume = 0))
  )
