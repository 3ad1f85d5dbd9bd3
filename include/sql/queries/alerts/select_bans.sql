-- The sources that have shut this address out since a moment, or pause all processes for longer than a minute from now.
SELECT s.name AS source, b.pause_reason AS reason, CASE WHEN b.paused_until > now() THEN b.paused_until END AS paused_until
FROM sources AS s
LEFT JOIN rate_budgets AS b ON b.source_id = s.id AND b.pool = 'requests'
WHERE b.paused_until > now() + interval '1 minute'
   OR EXISTS (SELECT FROM source_attempts AS a
              WHERE a.source_id = s.id AND a.outcome = 'AddressBanned' AND a.recorded_at >= %(since)s)
ORDER BY s.id
