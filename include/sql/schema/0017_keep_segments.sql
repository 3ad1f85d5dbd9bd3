-- Segments: revisions, who works on them, and steps that cannot be skipped. Files that were imported.

ALTER TABLE segments
    ADD COLUMN revision       integer NOT NULL DEFAULT 1 CHECK (revision > 0),
    ADD COLUMN supersedes     bigint UNIQUE REFERENCES segments (id),
    ADD COLUMN content_sha256 text NOT NULL DEFAULT '',
    ADD COLUMN consumer       text,
    ADD COLUMN claimed_at     timestamptz,
    ADD COLUMN processed_at   timestamptz,
    ADD COLUMN deleted_at     timestamptz,
    DROP CONSTRAINT segments_series_id_start_time_end_time_sha256_key,
    ADD UNIQUE (series_id, start_time, end_time, revision),
    ADD UNIQUE (path),
    ADD CHECK (status IN ('downloaded', 'processing', 'processed', 'deleted'));
ALTER TABLE segments ALTER COLUMN status SET DEFAULT 'downloaded';
CREATE INDEX segments_to_claim ON segments (start_time, id) WHERE status = 'downloaded';

COMMENT ON COLUMN segments.path IS 'The file: an absolute path, or the URL of an object.';
COMMENT ON COLUMN segments.sha256 IS 'Of the file''s bytes.';
COMMENT ON COLUMN segments.content_sha256 IS 'Of the candles as CSV, whatever the file''s format: equal content is registered once.';
COMMENT ON COLUMN segments.revision IS '1, then one more each time that a candle in the span was revised after the export.';
COMMENT ON COLUMN segments.supersedes IS 'The segment of the same span whose candles have been revised since.';
COMMENT ON COLUMN segments.status IS 'downloaded: not claimed yet; processing: claimed by `consumer`; processed; deleted: the file is gone.';

-- The steps a segment may take; each has its time.
CREATE FUNCTION guard_segment() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.status, NEW.status) NOT IN (('downloaded', 'processing'), ('downloaded', 'deleted'), ('processing', 'processed'),
                                        ('processing', 'deleted'), ('processing', 'downloaded'), ('processed', 'deleted')) THEN
        RAISE check_violation USING MESSAGE =
            format('segment %s is %s and cannot become %s', OLD.id, OLD.status, NEW.status);
    END IF;
    IF NEW.status = 'processing' THEN NEW.claimed_at := clock_timestamp(); END IF;
    IF NEW.status = 'downloaded' THEN NEW.claimed_at := NULL; NEW.consumer := NULL; END IF;
    IF NEW.status = 'processed' THEN NEW.processed_at := clock_timestamp(); END IF;
    IF NEW.status = 'deleted' THEN NEW.deleted_at := clock_timestamp(); END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER guard_segment BEFORE UPDATE OF status ON segments
FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION guard_segment();

CREATE TABLE imported_files (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    path        text NOT NULL,
    sha256      text NOT NULL,
    series_id   integer NOT NULL,
    start_time  timestamptz,
    end_time    timestamptz,
    rows        bigint NOT NULL,
    inserted    bigint NOT NULL,
    revised     bigint NOT NULL,
    quarantined bigint NOT NULL,
    missing     bigint NOT NULL,
    sources     jsonb NOT NULL DEFAULT '{}',
    notes       text[] NOT NULL DEFAULT '{}',
    imported_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE imported_files IS 'Each import of a file: where its candles came from, and what was wrong with it.';
COMMENT ON COLUMN imported_files.missing IS 'Bars between its first and its last that the file lacks. They stay gaps.';
CREATE INDEX imported_files_of_a_series ON imported_files (series_id, start_time);
