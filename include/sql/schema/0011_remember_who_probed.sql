-- Several runs at once: each may probe a broken source once, so all of them are remembered, not just the last one, or two
-- runs would hand the probe to and fro. A caller that is the probe is told so, and can give it back.
ALTER TABLE source_health
    ALTER COLUMN probed_by TYPE text[] USING array_remove(ARRAY[probed_by], NULL),
    ALTER COLUMN probed_by SET DEFAULT '{}',
    ALTER COLUMN probed_by SET NOT NULL;
COMMENT ON COLUMN source_health.probed_by IS 'The runs that have probed the source since it is broken, or have found it so; the last one first.';

-- What a caller of the run may do with a source now: `ask`, `probe`, `wait` or `skip`. Whoever is told to probe has until
-- the lease runs out to say how it went.
CREATE OR REPLACE FUNCTION may_ask_source(of_source smallint, run text, probe_lease interval) RETURNS text
LANGUAGE plpgsql SET search_path = backfill, pg_temp AS $$
DECLARE
    health source_health;
BEGIN
    SELECT * INTO health FROM source_health WHERE source_id = of_source FOR UPDATE;
    IF NOT FOUND OR health.state = 'closed' THEN
        RETURN 'ask';
    END IF;
    IF health.open_until <= clock_timestamp() OR (health.state = 'open' AND run <> ALL (health.probed_by)) THEN
        UPDATE source_health
        SET state = 'half_open', probed_by = (run || array_remove(probed_by, run))[1:50],
            open_until = clock_timestamp() + probe_lease
        WHERE source_id = of_source;
        RETURN 'probe';
    END IF;
    RETURN CASE health.state WHEN 'half_open' THEN 'wait' ELSE 'skip' END;
END
$$;
