-- Where the rolling plan of one series stands now; some pages beside found corrections have been read.
INSERT INTO rereads AS r (series_id, next_ms, reread_at, accused_at)
VALUES (%(series_id)s, %(next_ms)s, %(reread_at)s, %(accused_at)s)
ON CONFLICT (series_id) DO UPDATE
SET next_ms = excluded.next_ms, reread_at = excluded.reread_at, accused_at = excluded.accused_at,
    widened = r.widened - %(done)s::int8multirange
