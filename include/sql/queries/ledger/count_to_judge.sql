-- What a person should look at in a series' window: open findings by kind, those that are only suspicions (no other source
-- could be asked), and pending rows in quarantine.
WITH opened AS (
    SELECT kind, verdict = 'suspect' AS is_suspect FROM findings
    WHERE series_id = %(series_id)s AND status = 'open' AND start_time < %(past)s AND end_time > %(first)s
)
SELECT coalesce((
           SELECT jsonb_object_agg(kind, n)
           FROM (SELECT kind, count(*) AS n FROM opened WHERE NOT is_suspect GROUP BY kind) AS k), '{}') AS open_findings,
       (SELECT count(*) FROM opened WHERE is_suspect) AS suspects,
       (SELECT count(*) FROM quarantine
        WHERE series_id = %(series_id)s AND status = 'pending'
          AND (open_time IS NULL OR (open_time >= %(first)s AND open_time < %(past)s))) AS quarantined
