-- Splits of stocks (docs/decisions/0037-splits.md).
CREATE TABLE splits (
    id            integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    instrument_id integer NOT NULL REFERENCES instruments (id),
    ratio         double precision NOT NULL CHECK (ratio > 0),
    after_time    timestamptz NOT NULL,
    until_time    timestamptz NOT NULL CHECK (until_time >= after_time),
    source_id     smallint NOT NULL REFERENCES sources (id),
    noticed_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE splits IS 'Splits of instruments, as a source''s prices or its own list showed them.';
COMMENT ON COLUMN splits.ratio IS 'New shares for one old: 4 of a split 4:1, 0.1 of a reverse split 1:10.';
COMMENT ON COLUMN splits.after_time IS 'A bar that opened then is at the old scale; one of until_time or later at the new one.';
CREATE INDEX splits_of_an_instrument ON splits (instrument_id, until_time);

ALTER TABLE instrument_log DROP CONSTRAINT instrument_log_what_check;
ALTER TABLE instrument_log ADD CONSTRAINT instrument_log_what_check CHECK (what IN (
    'listed', 'delisted', 'relisted', 'renamed', 'contract_value_changed', 'tick_size_changed', 'state_changed',
    'list_time_changed', 'expire_time_changed', 'source_changed', 'name_reused', 'split'));
COMMENT ON COLUMN instrument_log.what IS 'listed: its list names it for the first time that we see; delisted: no longer; renamed: new is another instrument, the same coin at another scale, listed as this one went; name_reused: the name is another listing''s now, what it was before is kept as old, and new says what shows it; split: new says how many new shares came for old ones, and when.';

ALTER TABLE revisions DROP CONSTRAINT revisions_reason_check;
ALTER TABLE revisions ADD CONSTRAINT revisions_reason_check
    CHECK (reason IN ('provider_correction', 'native_restored', 'manual', 'split'));
