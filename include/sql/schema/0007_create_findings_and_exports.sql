-- What checks have found, and what has been handed on in files.

CREATE TABLE findings (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    series_id     integer,
    source_id     smallint,
    kind          text NOT NULL,
    verdict       text NOT NULL,
    start_time    timestamptz,
    end_time      timestamptz,
    field         text,
    stored        double precision,
    other         double precision,
    difference    double precision,
    detail        jsonb NOT NULL DEFAULT '{}',
    fill_run_id   bigint,
    status        text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'settled', 'dismissed')),
    times_seen    integer NOT NULL DEFAULT 1,
    found_at      timestamptz NOT NULL DEFAULT now(),
    last_seen_at  timestamptz NOT NULL DEFAULT now(),
    settled_at    timestamptz
);
COMMENT ON TABLE findings IS 'What checks have found: one row for each thing, however often it is seen.';
COMMENT ON COLUMN findings.source_id IS 'Who was asked, or whose bars they are.';
COMMENT ON COLUMN findings.stored IS 'Our value of `field`; `other` is the other''s, and `difference` is how far ours is from it, relative to it.';
COMMENT ON COLUMN findings.fill_run_id IS 'The row of gap_fill_runs of the run that saw it last.';
COMMENT ON COLUMN findings.status IS 'open: somebody must act; settled: mended, explained, or only told; dismissed: a person has decided so.';
CREATE UNIQUE INDEX findings_once ON findings
    (kind, coalesce(series_id, 0), coalesce(source_id, 0), coalesce(start_time, '-infinity'), coalesce(field, ''));
CREATE INDEX findings_of_a_series ON findings (series_id, start_time);
CREATE INDEX findings_open ON findings (series_id, kind) WHERE status = 'open';

CREATE TABLE segments (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    series_id  integer NOT NULL,
    start_time timestamptz NOT NULL,
    end_time   timestamptz NOT NULL,
    path       text NOT NULL,
    sha256     text NOT NULL,
    rows       bigint NOT NULL,
    status     text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (series_id, start_time, end_time, sha256),
    CHECK (start_time < end_time)
);
COMMENT ON TABLE segments IS 'Closed stretches of a series that were exported to files, each exactly once.';

CREATE TABLE watermarks (
    name       text PRIMARY KEY,
    position   timestamptz NOT NULL,
    moved_at   timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE watermarks IS 'How far a reader has come. A hint: what is missing is decided by `held`.';
