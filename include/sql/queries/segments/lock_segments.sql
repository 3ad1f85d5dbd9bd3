-- The status and consumer of these segments, which nobody else changes until the commit.
SELECT id, status, consumer, path FROM segments WHERE id = ANY (%(ids)s) ORDER BY id FOR UPDATE
