-- What is silent in a window of one series, as multiranges in text. Of one source: all that it has no candle for, what of it
-- is doubtful, what of that two runs have answered, and what of that another source lacks too. Without what is held by
-- anybody or explained (no_trade, lost). `held`: what shows how often the series trades;
-- `given`: what is surely this source's.
WITH span AS (
    SELECT s.*, CASE WHEN s.calendar IS NULL THEN '{}' ELSE closed_of(s.calendar, s.timeframe) END AS closed,
           int8multirange(int8range(%(start_ms)s, %(end_ms)s)) AS asked FROM series AS s WHERE s.id = %(series_id)s
), said AS (
    SELECT coalesce(range_agg(a.absent) FILTER (WHERE a.source_id = %(source_id)s), '{}') AS silent,
           coalesce(range_agg(a.absent) FILTER (WHERE a.source_id = %(source_id)s AND a.grade = 'doubtful'), '{}') AS doubtful,
           coalesce(range_agg(a.absent) FILTER (WHERE a.source_id = %(source_id)s AND a.grade = 'doubtful'
                                                  AND a.confirmations > 1), '{}') AS confirmed,
           coalesce(range_agg(a.absent) FILTER (WHERE a.source_id <> %(source_id)s AND a.source_id = ANY (s.source_ids)), '{}')
               AS elsewhere
    FROM span AS s LEFT JOIN absences AS a ON a.series_id = s.id AND a.grade <> 'refused'
), mine AS (
    SELECT span.*, said.silent, said.doubtful, said.confirmed, said.elsewhere,
           CASE WHEN source_ids[1] = %(source_id)s THEN span.held - span.stand_in ELSE span.held END AS given,
           CASE WHEN source_ids[1] = %(source_id)s THEN span.held - span.stand_in
                WHEN cardinality(source_ids) = 2 THEN span.stand_in ELSE '{}' END AS his
    FROM span, said
)
SELECT (asked * given)::text AS held, (asked * his)::text AS given, (asked * (silent + no_trade) - given - closed)::text AS silent,
       (asked * doubtful - given - no_trade - lost - closed)::text AS doubtful,
       (asked * confirmed - given - no_trade - lost - closed)::text AS confirmed,
       (asked * doubtful * elsewhere - held - no_trade - lost - closed)::text AS elsewhere
FROM mine
