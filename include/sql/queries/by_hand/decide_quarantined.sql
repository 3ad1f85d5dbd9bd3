-- Record a person's decision on pending rows in quarantine.
UPDATE quarantine AS q
SET status = %(status)s, decided_at = now(), note = decided.note
FROM unnest(%(ids)s::bigint[], %(notes)s::text[]) AS decided (id, note)
WHERE q.id = decided.id AND q.status = 'pending'
