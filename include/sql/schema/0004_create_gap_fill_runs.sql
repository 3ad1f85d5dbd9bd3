-- The run log: one row for each attempt on a series, written when it starts and finished when it ends.

CREATE TABLE gap_fill_runs (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dag_id           text NOT NULL,
    run_id           text NOT NULL,
    task_id          text NOT NULL,
    map_index        integer NOT NULL DEFAULT -1,
    try_number       integer NOT NULL DEFAULT 1,
    series_id        integer NOT NULL,
    symbol           text NOT NULL,
    timeframe        text NOT NULL,
    window_start     timestamptz NOT NULL,
    window_end       timestamptz NOT NULL,
    status           text NOT NULL DEFAULT 'running'
                     CHECK (status IN ('running', 'complete', 'partial', 'failed', 'abandoned')),
    gaps_found       integer NOT NULL,
    missing_before   bigint NOT NULL,
    missing_after    bigint,
    requests_planned integer NOT NULL DEFAULT 0,
    requests         integer NOT NULL DEFAULT 0,
    requests_left    integer NOT NULL DEFAULT 0,
    rows_inserted    bigint NOT NULL DEFAULT 0,
    rows_revised     bigint NOT NULL DEFAULT 0,
    rows_quarantined bigint NOT NULL DEFAULT 0,
    absent_found     bigint NOT NULL DEFAULT 0,
    coverage_before  double precision NOT NULL,
    coverage_after   double precision,
    sources          jsonb NOT NULL DEFAULT '{}',
    error            text,
    validation       jsonb,
    started_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at      timestamptz
);
COMMENT ON COLUMN gap_fill_runs.sources IS 'Rows stored per source, inserted and revised together.';
COMMENT ON COLUMN gap_fill_runs.coverage_before IS 'Per cent of the window''s bars that are held; established absences are not counted as bars.';
COMMENT ON COLUMN gap_fill_runs.requests_left IS 'Requests that the run''s budget has left to the next one.';
COMMENT ON COLUMN gap_fill_runs.validation IS 'What a validation has found, in counts; NULL for an attempt to fill.';
CREATE INDEX gap_fill_runs_of_a_series ON gap_fill_runs (series_id, started_at DESC);
CREATE INDEX gap_fill_runs_of_a_dag_run ON gap_fill_runs (dag_id, run_id);
CREATE INDEX gap_fill_runs_running ON gap_fill_runs (series_id) WHERE status = 'running';
