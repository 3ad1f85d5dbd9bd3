-- One rate budget for each source, shared by every process that asks from this address.
--
-- `recent_ms` holds the send times that were handed out last, oldest first, in ms of the database's clock. A
-- window of `limits[i]` requests in `periods_ms[i]` is kept by never sending before the time handed out
-- `limits[i]` places ago plus the period. That is exact where a token bucket must choose between a burst and
-- the sustained rate, and costs one UPDATE.

CREATE TABLE rate_budgets (
    source_id    smallint PRIMARY KEY REFERENCES sources (id),
    limits       integer[] NOT NULL,
    periods_ms   bigint[] NOT NULL,
    spacing_ms   integer NOT NULL DEFAULT 0 CHECK (spacing_ms >= 0),
    recent_ms    bigint[] NOT NULL DEFAULT '{}',
    paused_until timestamptz NOT NULL DEFAULT '-infinity',
    pause_reason text,
    CHECK (cardinality(limits) = cardinality(periods_ms))
);

-- Reserves `wanted` requests and gives, for each, how many ms from now it may be sent. Gives one negative number,
-- minus the ms left, while the source is paused.
--
-- After a pause nobody knows whether the source has forgiven (Blofin suspends for five minutes or for an hour and says
-- the same): the first request is a probe, and the next ones wait until it has been heard whether that was refused.
CREATE FUNCTION reserve_requests(of_source smallint, wanted integer) RETURNS bigint[]
LANGUAGE plpgsql SET search_path = backfill, pg_temp AS $$
DECLARE
    heard_after_ms CONSTANT bigint := 2000;
    budget rate_budgets;
    now_ms bigint;
    resumed_ms bigint;
    at_ms bigint;
    given bigint[] := '{}';
    last integer;
    nth_before bigint;
    longest integer;
BEGIN
    SELECT * INTO STRICT budget FROM rate_budgets WHERE source_id = of_source FOR UPDATE;
    now_ms := epoch_ms(clock_timestamp());
    IF budget.paused_until > clock_timestamp() THEN
        RETURN ARRAY[-greatest(1, epoch_ms(budget.paused_until) - now_ms)];
    END IF;
    resumed_ms := CASE WHEN isfinite(budget.paused_until) THEN epoch_ms(budget.paused_until) END;
    longest := (SELECT max(l) FROM unnest(budget.limits) AS l);
    FOR i IN 1 .. wanted LOOP
        last := cardinality(budget.recent_ms);
        at_ms := greatest(now_ms, budget.recent_ms[last] + budget.spacing_ms);  -- of nothing and NULL: the other
        IF budget.recent_ms[last] >= resumed_ms AND coalesce(budget.recent_ms[last - 1] < resumed_ms, true) THEN
            at_ms := greatest(at_ms, budget.recent_ms[last] + heard_after_ms);
        END IF;
        FOR w IN 1 .. cardinality(budget.limits) LOOP
            nth_before := budget.recent_ms[last - budget.limits[w] + 1];
            IF nth_before IS NOT NULL THEN
                at_ms := greatest(at_ms, nth_before + budget.periods_ms[w]);
            END IF;
        END LOOP;
        given := given || (at_ms - now_ms);
        budget.recent_ms := budget.recent_ms || at_ms;
    END LOOP;
    UPDATE rate_budgets
    SET recent_ms = budget.recent_ms[greatest(1, cardinality(budget.recent_ms) - longest + 1):]
    WHERE source_id = of_source;
    RETURN given;
END
$$;

-- The breaker of a source. Closed: everybody asks. Open: nobody does, but each new run may probe it once at once, and
-- any run after a while. Half open: one caller probes it and the others wait for how that goes. All runs that have probed
-- it are remembered, or two of them would hand the probe to and fro.
CREATE TABLE source_health (
    source_id            smallint PRIMARY KEY REFERENCES sources (id),
    state                text NOT NULL DEFAULT 'closed' CHECK (state IN ('closed', 'open', 'half_open')),
    consecutive_failures integer NOT NULL DEFAULT 0,
    open_until           timestamptz,
    last_error           text,
    last_success_at      timestamptz,
    first_failure_at     timestamptz,
    last_failure_at      timestamptz,
    probed_by            text[] NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE source_health IS 'The circuit breaker of a source: open means that it is skipped until open_until.';
COMMENT ON COLUMN source_health.first_failure_at IS 'When the failures began that no success has ended yet.';
COMMENT ON COLUMN source_health.probed_by IS 'The runs that have probed the source since it is broken, or have found it so; the last one first.';

-- What a caller of the run may do with a source now: `ask`, `probe`, `wait` or `skip`. Whoever is told to probe has until
-- the lease runs out to say how it went.
CREATE FUNCTION may_ask_source(of_source smallint, run text, probe_lease interval) RETURNS text
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

CREATE TABLE source_attempts (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fill_run_id bigint,
    source_id   smallint NOT NULL,
    outcome     text NOT NULL,
    requests    integer NOT NULL,
    rows        bigint NOT NULL,
    latency_ms  double precision,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE source_attempts IS 'What a source answered in a run: candles, absent, or the name of the error, with counts.';
COMMENT ON COLUMN source_attempts.latency_ms IS 'Mean time to an answer.';
CREATE INDEX source_attempts_by_source ON source_attempts (source_id, recorded_at);
