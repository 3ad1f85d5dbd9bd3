-- The candles, one row a bar, partitioned by month; what they were before; and what was refused.

CREATE TABLE candles (
    series_id    integer NOT NULL,
    open_time    timestamptz NOT NULL,
    open         double precision NOT NULL,
    high         double precision NOT NULL,
    low          double precision NOT NULL,
    close        double precision NOT NULL,
    volume       double precision,
    quote_volume double precision,
    source_id    smallint NOT NULL,
    PRIMARY KEY (series_id, open_time)
) PARTITION BY RANGE (open_time);
COMMENT ON COLUMN candles.volume IS 'Base units (coins, never contracts) in the instrument''s own denomination; NULL: unknown.';
COMMENT ON COLUMN candles.quote_volume IS 'Quote units; NULL where the source does not tell.';

-- Rows of months that have no partition of their own yet: a foreign writer loses nothing.
CREATE TABLE candles_default PARTITION OF candles DEFAULT;

CREATE TABLE revisions (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    series_id        integer NOT NULL,
    open_time        timestamptz NOT NULL,
    reason           text NOT NULL CHECK (reason IN ('provider_correction', 'native_restored', 'manual')),
    open             double precision NOT NULL,
    high             double precision NOT NULL,
    low              double precision NOT NULL,
    close            double precision NOT NULL,
    volume           double precision,
    quote_volume     double precision,
    source_id        smallint NOT NULL,
    new_open         double precision,
    new_high         double precision,
    new_low          double precision,
    new_close        double precision,
    new_volume       double precision,
    new_quote_volume double precision,
    new_source_id    smallint NOT NULL,
    note             text,
    fill_run_id      bigint,
    revised_at       timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE revisions IS 'What a candle was, and what it became when it was replaced (new_...), why and by which run.';
CREATE INDEX revisions_of_a_candle ON revisions (series_id, open_time);

CREATE TABLE quarantine (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    series_id      integer NOT NULL,
    source_id      smallint NOT NULL,
    open_time      timestamptz,
    rule           text NOT NULL,
    payload        jsonb NOT NULL,
    status         text NOT NULL DEFAULT 'held' CHECK (status IN ('held', 'released', 'discarded')),
    times_seen     integer NOT NULL DEFAULT 1,
    fill_run_id    bigint,
    quarantined_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at   timestamptz NOT NULL DEFAULT now(),
    decided_at     timestamptz,
    note           text
);
COMMENT ON COLUMN quarantine.status IS 'held: nobody has decided yet; released: a person had it stored all the same; discarded: a person agrees.';
COMMENT ON TABLE quarantine IS 'Rows that broke a structural rule, as the source sent them.';
CREATE UNIQUE INDEX quarantine_once ON quarantine (series_id, source_id, rule, md5(payload::text));
