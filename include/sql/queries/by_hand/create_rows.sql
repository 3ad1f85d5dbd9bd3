-- Where the bars wait that a person has decided on, private to the connection. What compare_rows_by_hand finds is kept
-- beside them: the fields that would change, and what is held.
CREATE TEMPORARY TABLE IF NOT EXISTS rows_by_hand (
    place             bigint NOT NULL,
    series_id         integer NOT NULL,
    source_id         smallint NOT NULL,
    open_time         timestamptz NOT NULL,
    open              double precision NOT NULL,
    high              double precision NOT NULL,
    low               double precision NOT NULL,
    close             double precision NOT NULL,
    volume            double precision,
    quote_volume      double precision,
    change            text,
    fields            text[],
    held_open         double precision,
    held_high         double precision,
    held_low          double precision,
    held_close        double precision,
    held_volume       double precision,
    held_quote_volume double precision,
    held_source_id    smallint
);
TRUNCATE rows_by_hand
