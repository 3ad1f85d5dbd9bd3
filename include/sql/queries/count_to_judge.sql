-- What a person should look at in a series' window: open findings by kind, and rows in quarantine that nobody has decided.
SELECT coalesce((
           SELECT jsonb_object_agg(kind, n) FROM (
               SELECT kind, count(*) AS n FROM findings
               WHERE series_id = %(series_id)s AND status = 'open' AND start_time < %(past)s AND end_time > %(first)s
               GROUP BY kind) AS k), '{}') AS open_findings,
       (SELECT count(*) FROM quarantine
        WHERE series_id = %(series_id)s AND status = 'held'
          AND (open_time IS NULL OR (open_time >= %(first)s AND open_time < %(past)s))) AS quarantined
