-- The candles of one series in a window as at most a few hundred wider ones, oldest first. `source`: of the bars that the
-- primary source did not give the highest number, else the primary source's; `stand_ins`: how many those bars are.
WITH buckets AS MATERIALIZED (
    SELECT date_bin(%(bucket)s::interval, open_time, %(anchor)s) AS bucket, min(open_time) AS first, max(open_time) AS last,
           max(high) AS high, min(low) AS low, sum(volume) AS volume, count(*) AS bars,
           count(*) FILTER (WHERE source_id <> %(primary)s) AS stand_ins,
           coalesce(max(source_id) FILTER (WHERE source_id <> %(primary)s), %(primary)s) AS source_id
    FROM candles
    WHERE series_id = %(series_id)s AND open_time >= %(from)s AND open_time < %(to)s
    GROUP BY 1
)
SELECT epoch_ms(b.bucket) AS open_ms,
       (SELECT open FROM candles AS c WHERE c.series_id = %(series_id)s AND c.open_time = b.first) AS open, b.high, b.low,
       (SELECT close FROM candles AS c WHERE c.series_id = %(series_id)s AND c.open_time = b.last) AS close,
       b.volume, b.bars, b.stand_ins, src.name AS source
FROM buckets AS b LEFT JOIN sources AS src ON src.id = b.source_id
ORDER BY b.bucket
