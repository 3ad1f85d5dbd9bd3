-- Where candles came from, and what was wrong with the file.
INSERT INTO imported_files (path, sha256, series_id, start_time, end_time, rows, inserted, revised, quarantined, missing,
                            sources, notes)
VALUES (%(path)s, %(sha256)s, %(series_id)s, %(start)s, %(end)s, %(rows)s, %(inserted)s, %(revised)s, %(quarantined)s,
        %(missing)s, %(sources)s, %(notes)s)
