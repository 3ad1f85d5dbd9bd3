-- Where a page waits for its merge: private to the connection, emptied by every commit, never in the WAL.
CREATE TEMPORARY TABLE IF NOT EXISTS page_rows (
    open_time    timestamptz NOT NULL,
    open         double precision NOT NULL,
    high         double precision NOT NULL,
    low          double precision NOT NULL,
    close        double precision NOT NULL,
    volume       double precision NOT NULL,
    quote_volume double precision NOT NULL
) ON COMMIT DELETE ROWS
