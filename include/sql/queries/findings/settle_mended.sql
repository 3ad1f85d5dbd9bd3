-- Open findings about bars that are no longer what they were: gone; or, where one value of one bar was wrong, with another
-- value now; or, where a stretch was wrong, replaced every one since it was last seen.
WITH accused AS (
    SELECT f.id, span_of_finding(f, s.step_ms) * s.held AS bars, s.step_ms,
           f.kind = 'cross_source' AND f.stored IS NOT NULL AS is_one_value
    FROM findings AS f JOIN series AS s ON s.id = f.series_id
    WHERE f.series_id = %(series_id)s AND f.status = 'open' AND isfinite(f.start_time) AND f.kind = ANY (%(kinds)s)
)
UPDATE findings AS f
SET status = 'settled', settled_at = now(),
    detail = f.detail || jsonb_build_object('settled_by', CASE WHEN isempty(a.bars) THEN 'removed' ELSE 'mended' END)
FROM accused AS a
WHERE f.id = a.id AND CASE
    WHEN isempty(a.bars) THEN true
    WHEN a.is_one_value THEN EXISTS (
        SELECT FROM candles AS c
        CROSS JOIN LATERAL (SELECT (to_jsonb(c) ->> f.field)::double precision AS now) AS value
        WHERE c.series_id = f.series_id AND c.open_time = f.start_time
          AND (value.now IS NULL OR abs(value.now - f.stored) > 1e-9 * abs(f.stored)))
    ELSE a.bars <@ coalesce((
        SELECT range_agg(int8range(epoch_ms(r.open_time), epoch_ms(r.open_time) + a.step_ms)) FROM revisions AS r
        WHERE r.series_id = f.series_id AND r.revised_at > f.last_seen_at
          AND r.open_time >= from_epoch_ms(lower(a.bars)) AND r.open_time < from_epoch_ms(upper(a.bars))), '{}') END
