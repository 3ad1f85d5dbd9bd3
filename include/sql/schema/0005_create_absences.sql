-- What a source has answered and has no candle for. An error is never an answer.

CREATE TABLE absences (
    series_id     integer NOT NULL,
    source_id     smallint NOT NULL,
    confirmations smallint NOT NULL CHECK (confirmations >= 1),
    expires_at    timestamptz NOT NULL,
    absent        int8multirange NOT NULL CHECK (NOT isempty(absent)),
    PRIMARY KEY (series_id, source_id, confirmations, expires_at)
);
COMMENT ON TABLE absences IS 'Until expires_at nobody asks the source for these intervals again. Intervals of a series and source never overlap.';
COMMENT ON COLUMN absences.confirmations IS 'How many answers, a time to live apart, have said so: 1 lives a day, more live a week.';

-- What nobody may be asked for any more: absent at every source that may supply the series. A source whose listing of
-- the instrument is refused may not, so a minute need not be absent there. One row, as a table: the
-- planner takes such a function into the query, which a value's it would call anew for each series at thrice the cost.
CREATE FUNCTION absent_everywhere(of_series integer, of_sources smallint[], at timestamptz)
RETURNS TABLE (absent int8multirange)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE WHEN count(said.absent) = cardinality(of_sources) - cardinality(min(refused.source_ids))
                     AND count(said.absent) > 0
                THEN range_intersect_agg(said.absent) ELSE '{}' END
    FROM (
        SELECT ARRAY (
            SELECT l.source_id FROM listings AS l JOIN series AS s ON s.instrument_id = l.instrument_id
            WHERE s.id = of_series AND l.source_id = ANY (of_sources)
            GROUP BY l.source_id HAVING bool_and(l.status = 'refused')
        ) AS source_ids
        OFFSET 0
    ) AS refused
    LEFT JOIN LATERAL (
        SELECT range_agg(a.absent) AS absent
        FROM absences AS a
        WHERE a.series_id = of_series AND a.source_id = ANY (of_sources) AND a.source_id <> ALL (refused.source_ids)
          AND a.expires_at > at
        GROUP BY a.source_id
    ) AS said ON true;
END;

-- Writes down one answer of a source: `missing` are the intervals it has no candle for, `present` those it has one
-- for. What it denies for the first time lives `first_life`, what it denies again after that has run out lives
-- `next_life`; what is still believed is left as it is. Gives the length of what is newly absent, in ms.
CREATE FUNCTION record_answer(of_series integer, of_source smallint, missing int8multirange, present int8multirange,
                              first_life interval, next_life interval) RETURNS bigint
LANGUAGE plpgsql SET search_path = backfill, pg_temp AS $$
DECLARE
    believed int8multirange;
    doubted int8multirange;
    denied int8multirange;
BEGIN
    SELECT coalesce(range_agg(absent) FILTER (WHERE expires_at > now()), '{}'),
           coalesce(range_agg(absent) FILTER (WHERE expires_at <= now()), '{}')
    INTO believed, doubted
    FROM absences WHERE series_id = of_series AND source_id = of_source;

    missing := missing - believed;
    present := present + missing * doubted;  -- what is written anew below leaves its old row
    IF (believed + doubted) && present THEN
        DELETE FROM absences WHERE series_id = of_series AND source_id = of_source AND absent <@ present;
        UPDATE absences SET absent = absent - present
        WHERE series_id = of_series AND source_id = of_source AND absent && present;
    END IF;

    FOR denied, first_life IN VALUES (missing - doubted, first_life), (missing * doubted, next_life) LOOP
        CONTINUE WHEN isempty(denied);
        INSERT INTO absences AS a (series_id, source_id, confirmations, expires_at, absent)
        VALUES (of_series, of_source, CASE WHEN denied && doubted THEN 2 ELSE 1 END,
                date_trunc('hour', now() + first_life + interval '1 hour'), denied)
        ON CONFLICT (series_id, source_id, confirmations, expires_at)
        DO UPDATE SET absent = a.absent + excluded.absent;
    END LOOP;
    RETURN covered_ms(missing);
END
$$;
