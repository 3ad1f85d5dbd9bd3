-- The breaker of a source. Closed: everybody asks. Open: nobody does, but each new run may probe it once at once, and
-- any run after a while. Half open: one caller probes it and the others wait for how that goes.
ALTER TABLE source_health ADD COLUMN probed_by text, ADD COLUMN first_failure_at timestamptz;
COMMENT ON COLUMN source_health.first_failure_at IS 'When the failures began that no success has ended yet.';
COMMENT ON COLUMN source_health.probed_by IS 'The run that has probed the source last, or has found it broken.';

-- What a caller of the run may do with a source now: `ask`, `wait` or `skip`. Who is told to ask while the breaker is not
-- closed is its probe, and has until the lease runs out to say how it went.
CREATE FUNCTION may_ask_source(of_source smallint, run text, probe_lease interval) RETURNS text
LANGUAGE plpgsql SET search_path = backfill, pg_temp AS $$
DECLARE
    health source_health;
BEGIN
    SELECT * INTO health FROM source_health WHERE source_id = of_source FOR UPDATE;
    IF NOT FOUND OR health.state = 'closed' THEN
        RETURN 'ask';
    END IF;
    IF health.open_until <= clock_timestamp() OR (health.state = 'open' AND health.probed_by IS DISTINCT FROM run) THEN
        UPDATE source_health
        SET state = 'half_open', probed_by = run, open_until = clock_timestamp() + probe_lease
        WHERE source_id = of_source;
        RETURN 'ask';
    END IF;
    RETURN CASE health.state WHEN 'half_open' THEN 'wait' ELSE 'skip' END;
END
$$;
