-- A source may limit some requests on their own, beside its limit for all (docs/decisions/0041-limits-of-their-own.md).
ALTER TABLE rate_budgets ADD COLUMN pool text NOT NULL DEFAULT 'requests';
ALTER TABLE rate_budgets DROP CONSTRAINT rate_budgets_pkey;
ALTER TABLE rate_budgets ADD PRIMARY KEY (source_id, pool);
COMMENT ON COLUMN rate_budgets.pool IS 'What is counted: `requests` of all kinds, or `funding`, which the source limits on its own too.';

-- As before, of one pool.
DROP FUNCTION reserve_requests(smallint, integer);
-- Reserves `wanted` requests and gives, for each, how many ms from now it may be sent. Gives one negative number,
-- minus the ms left, while the source is paused.
--
-- After a pause nobody knows whether the source has forgiven (Blofin suspends for five minutes or for an hour and says
-- the same): the first request is a probe, and the next ones wait until it has been heard whether that was refused.
CREATE FUNCTION reserve_requests(of_source smallint, wanted integer, of_pool text DEFAULT 'requests') RETURNS bigint[]
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
    SELECT * INTO STRICT budget FROM rate_budgets WHERE source_id = of_source AND pool = of_pool FOR UPDATE;
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
    WHERE source_id = of_source AND pool = of_pool;
    RETURN given;
END
$$;
