-- What is due for a check in a window of one series, as sets of ms: `held` bars; the `native` ones of the primary source;
-- those of them that it has not returned or confirmed absent since they settled; missing bars; those that the primary
-- source lacks; those of them without a proof (tried lately or found) and not reported as lost; what has been compared with
-- another source (or found to be nowhere else), what could not be, and what longer bars have proved, these three since a
-- moment. A check of a bar that was replaced later does not count.
WITH span AS (
    SELECT s.*, CASE WHEN s.calendar IS NULL THEN '{}' ELSE closed_of(s.calendar, s.timeframe) END AS closed,
           int8multirange(int8range(%(start_ms)s, %(end_ms)s)) AS asked FROM series AS s WHERE s.id = %(series_id)s
), said AS (
    SELECT coalesce(range_agg(a.absent), '{}') AS absent,
           coalesce(range_agg(a.absent) FILTER (WHERE a.grade <> 'refused'), '{}') AS silent,
           coalesce(range_agg(a.absent) FILTER (WHERE a.grade = 'doubtful'), '{}') AS doubtful
    FROM span JOIN absences AS a ON a.series_id = span.id AND a.source_id = span.source_ids[1]
), looks AS (
    SELECT f.kind, f.last_seen_at, f.verdict = 'unverified' AS in_vain, f.detail @> '{"nobody_has_it": true}' AS for_good,
           int8multirange(int8range(epoch_ms(f.start_time), epoch_ms(f.end_time))) - (
               SELECT coalesce(range_agg(int8range(epoch_ms(r.open_time), epoch_ms(r.open_time) + span.step_ms)), '{}')
               FROM revisions AS r
               WHERE r.series_id = f.series_id AND r.open_time >= f.start_time AND r.open_time < f.end_time
                 AND r.revised_at > f.last_seen_at
           ) AS bars
    FROM span JOIN findings AS f ON f.series_id = span.id
    WHERE f.field IS NULL AND f.kind IN ('cross_source', 'next_timeframe') AND f.last_seen_at >= %(since)s
), checked AS (
    SELECT coalesce(range_agg(bars) FILTER (WHERE kind = 'cross_source' AND (for_good OR NOT in_vain)), '{}') AS compared,
           coalesce(range_agg(bars) FILTER (WHERE kind = 'cross_source' AND in_vain), '{}') AS unverified,
           coalesce(range_agg(bars) FILTER (WHERE kind = 'next_timeframe'), '{}') AS proved,
           coalesce(range_agg(bars) FILTER (WHERE kind = 'next_timeframe' AND last_seen_at >= %(lately)s), '{}')
               AS proved_lately
    FROM looks
), found AS (
    SELECT coalesce(range_agg(int8range(epoch_ms(f.start_time), epoch_ms(f.end_time))), '{}') AS reported
    FROM span JOIN findings AS f ON f.series_id = span.id
    WHERE f.kind = 'lost_bars'
)
SELECT (asked * held)::text AS held, (asked * (held - stand_in))::text AS native,
       (asked * (held - stand_in - settled - absent))::text AS unsettled, (asked - held - closed)::text AS missing,
       ((asked * silent) - held - closed)::text AS denied,
       ((asked * doubtful) - held - no_trade - lost * reported - proved_lately - closed)::text AS unexplained,
       (asked * compared)::text AS compared, (asked * unverified)::text AS unverified, (asked * proved)::text AS proved
FROM span, said, checked, found
