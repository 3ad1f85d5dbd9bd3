-- Nothing can be done about what was found in a series that does not exist any more.
UPDATE findings AS f
SET status = 'settled', settled_at = now(), detail = f.detail || '{"says": "its series does not exist any more"}'
WHERE f.series_id = %(series_id)s AND f.status = 'open'
  AND NOT EXISTS (SELECT FROM series AS s WHERE s.id = f.series_id)
