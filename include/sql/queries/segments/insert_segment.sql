-- A file that is in its place, as a segment that can be claimed.
INSERT INTO segments (series_id, start_time, end_time, path, sha256, content_sha256, rows, revision, supersedes)
VALUES (%(series_id)s, %(start)s, %(end)s, %(path)s, %(sha256)s, %(content_sha256)s, %(rows)s, %(revision)s,
        %(supersedes)s)
RETURNING id
