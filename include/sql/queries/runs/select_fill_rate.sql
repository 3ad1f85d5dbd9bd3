-- How many bars the last runs that closed any have closed, how many runs those are, and for how many seconds one was at
-- work, in the last 24 hours. A killed run has no end and is left out.
WITH attempts AS MATERIALIZED (
    SELECT r.dag_id, r.run_id, r.started_at, greatest(coalesce(r.finished_at, %(at)s), r.started_at) AS until,
           greatest(coalesce(r.missing_before - r.missing_after, r.rows_inserted), 0) AS closed
    FROM series AS s
    JOIN instruments AS i ON i.id = s.instrument_id
    JOIN gap_fill_runs AS r ON r.series_id = s.id AND r.started_at > %(at)s - interval '24 hours'
    WHERE s.wanted AND r.validation IS NULL
      AND (%(symbols)s::text[] IS NULL OR i.symbol = ANY (%(symbols)s))
      AND (%(timeframes)s::text[] IS NULL OR s.timeframe = ANY (%(timeframes)s))
      AND (r.status IN ('complete', 'partial', 'failed')
           OR r.status = 'running' AND EXISTS (
               SELECT FROM pg_locks AS l
               WHERE l.locktype = 'advisory' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                 AND l.classid = %(lock_class)s::integer::oid AND l.objid = s.id::oid AND l.objsubid = 2
               UNION ALL
               SELECT FROM claims AS c
               WHERE c.lock_class = %(lock_class)s AND c.lock_key = s.id AND c.expires_at >= clock_timestamp()))
), last_runs AS (
    SELECT dag_id, run_id FROM attempts
    GROUP BY dag_id, run_id HAVING sum(closed) > 0
    ORDER BY max(started_at) DESC LIMIT %(most_runs)s
), counted AS (
    SELECT a.* FROM attempts AS a JOIN last_runs USING (dag_id, run_id)
)
SELECT coalesce(sum(closed), 0)::bigint AS closed, (SELECT count(*) FROM last_runs) AS runs,
       coalesce((
           SELECT sum(extract(epoch FROM upper(busy) - lower(busy)))
           FROM (SELECT unnest(range_agg(tstzrange(started_at, until, '[]'))) AS busy FROM counted) AS spans
       ), 0)::double precision AS seconds
FROM counted
