-- What there is to check of one series in a window, as sets of ms: `held` bars, the `native` ones that its home gave, those of them that it
-- has neither told again nor denied since they settled, bars that nobody has given, those that the home denies, those of them that no
-- proof has explained (nor tried to, lately), and what of the window has been compared with another source (or would
-- have been, if any other had it), what could not be, and what has been proved by coarser bars, since a moment.
WITH span AS (
    SELECT s.*, int8multirange(int8range(%(start_ms)s, %(end_ms)s)) AS asked FROM series AS s WHERE s.id = %(series_id)s
), said AS (
    SELECT coalesce(range_agg(a.absent), '{}') AS absent
    FROM span JOIN absences AS a ON a.series_id = span.id AND a.source_id = span.source_ids[1]
), checked AS (
    SELECT coalesce(range_agg(int8range(epoch_ms(start_time), epoch_ms(end_time)))
                    FILTER (WHERE kind = 'cross_source' AND (verdict <> 'unverified' OR detail @> '{"nobody_has_it": true}')), '{}') AS compared,
           coalesce(range_agg(int8range(epoch_ms(start_time), epoch_ms(end_time)))
                    FILTER (WHERE kind = 'cross_source' AND verdict = 'unverified'), '{}') AS unverified,
           coalesce(range_agg(int8range(epoch_ms(start_time), epoch_ms(end_time)))
                    FILTER (WHERE kind = 'next_timeframe'), '{}') AS proved,
           coalesce(range_agg(int8range(epoch_ms(start_time), epoch_ms(end_time)))
                    FILTER (WHERE kind = 'next_timeframe' AND last_seen_at >= %(lately)s), '{}') AS proved_lately
    FROM findings
    WHERE series_id = %(series_id)s AND field IS NULL AND kind IN ('cross_source', 'next_timeframe')
      AND last_seen_at >= %(since)s
)
SELECT asked * held AS held, asked * (held - stand_in) AS native, asked * (held - stand_in - settled - absent) AS unsettled, asked - held AS missing,
       (asked * absent) - held AS denied, (asked * absent) - held - no_trade - lost - proved_lately AS unexplained,
       asked * compared AS compared, asked * unverified AS unverified, asked * proved AS proved
FROM span, said, checked
