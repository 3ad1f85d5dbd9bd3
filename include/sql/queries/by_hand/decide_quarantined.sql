-- A person has decided on rows in quarantine that nobody had decided on.
UPDATE quarantine AS q
SET status = %(status)s, decided_at = now(), note = decided.note
FROM unnest(%(ids)s::bigint[], %(notes)s::text[]) AS decided (id, note)
WHERE q.id = decided.id AND q.status = 'pending'
