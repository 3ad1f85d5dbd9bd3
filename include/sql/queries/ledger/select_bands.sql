-- What a chart of one series shades in a window, rounded out to its buckets so that there are never more bands than buckets:
-- `missing` gaps, those that are `doubtful` or `lost`, bars `proved` or `reported` absent, what is
-- `pending`, and where the market is `closed`.
WITH span AS MATERIALIZED (
    SELECT s.*, closed_of(s.calendar, s.timeframe) AS closed, int8multirange(int8range(%(from_ms)s, %(to_ms)s)) AS shown,
           int8multirange(int8range(w.start_ms, w.end_ms)) AS asked
    FROM series AS s
    JOIN windows_at(%(at)s, %(settle_ms)s) AS w ON w.series_id = s.id
    WHERE s.id = %(series_id)s
), parts AS MATERIALIZED (
    SELECT span.shown * span.asked - span.held - (said.absent + span.no_trade - span.lost) - span.closed AS gaps,
           span.shown * (span.no_trade + proof.proved) - span.held - span.lost - span.closed AS proved,
           span.shown * said.absent - span.no_trade - proof.proved - span.held - span.lost - span.closed AS reported,
           span.shown * span.asked * span.closed - span.held AS closed,
           nowhere.silent, span.lost, int8multirange(int8range(NULL, %(due_ms)s)) AS due
    FROM span
    CROSS JOIN LATERAL absent_everywhere(span.id, span.source_ids, %(at)s) AS said
    CROSS JOIN LATERAL silent_everywhere(span.id, span.source_ids, %(at)s) AS nowhere
    CROSS JOIN LATERAL (
        SELECT coalesce(range_agg(a.absent), '{}') * said.absent AS proved
        FROM absences AS a WHERE a.series_id = span.id AND a.grade = 'proved' AND a.expires_at > %(at)s
    ) AS proof
), kinds AS (
    SELECT kind, intervals
    FROM parts CROSS JOIN LATERAL (VALUES
        ('missing', gaps * due - silent - lost), ('doubtful', gaps * due * silent - lost), ('lost', gaps * due * lost),
        ('pending', gaps - due), ('proved', proved), ('reported', reported), ('closed', closed)) AS of_kind (kind, intervals)
), rounded AS (
    SELECT kind, range_agg(int8range(grid_floor(lower(one), %(bucket_ms)s, 345600000),
                                     grid_ceil(upper(one), %(bucket_ms)s, 345600000))) AS bands,
           sum(upper(one) - lower(one))::bigint AS ms, count(*) AS intervals
    FROM kinds CROSS JOIN LATERAL unnest(intervals) AS one
    GROUP BY kind
)
SELECT kind, ms / %(step_ms)s AS candles, intervals,
       ARRAY (SELECT ARRAY[lower(band), upper(band)] FROM unnest(bands) AS band ORDER BY band) AS bands
FROM rounded
