-- What a source has no candle for has a grade (docs/decisions/0022-silence-is-not-absence.md). Silence of one answer is
-- doubtful, and a doubtful bar is a gap: a database that has lost bars to one wrong answer asks for them again by itself.

ALTER TABLE absences
    ADD COLUMN grade text NOT NULL DEFAULT 'doubtful' CHECK (grade IN ('proved', 'reported', 'doubtful')),
    ADD COLUMN fill_run_id bigint NOT NULL DEFAULT 0,
    ADD COLUMN first_seen_at timestamptz NOT NULL DEFAULT now();
UPDATE absences SET grade = CASE WHEN confirmations > 1 THEN 'reported' ELSE 'doubtful' END,
                    expires_at = CASE WHEN confirmations > 1 THEN expires_at ELSE least(expires_at, now()) END;
ALTER TABLE absences DROP CONSTRAINT absences_pkey,
    ADD PRIMARY KEY (series_id, source_id, grade, confirmations, expires_at, first_seen_at, fill_run_id);
COMMENT ON TABLE absences IS 'What a source has no candle for. Until expires_at it is not asked for these intervals again. Intervals of a series and source never overlap.';
COMMENT ON COLUMN absences.confirmations IS 'How many answers of different runs have said so.';
COMMENT ON COLUMN absences.grade IS 'doubtful: a gap still, one answer or an improbable silence; reported: two answers of different runs, plausible for the series; proved: another source lacks them too, or another timeframe shows that nothing traded.';
COMMENT ON COLUMN absences.fill_run_id IS 'The run of the last answer that said so; 0: not known.';

-- The weaker proof of before took an absent longer bar for a proof, and it is cheap to prove again: one page settles
-- hundreds of bars.
UPDATE series SET no_trade = '{}' WHERE no_trade <> '{}';

-- What is believed to be absent at every source that may supply the series: proved or reported, and not run out. A source
-- whose listing of the instrument is refused may not be asked, so a bar need not be absent there. One row, as a table: the
-- planner takes such a function into the query, which a value's it would call for each series at thrice the cost.
CREATE OR REPLACE FUNCTION absent_everywhere(of_series integer, of_sources smallint[], at timestamptz)
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
          AND a.expires_at > at AND a.grade <> 'doubtful'
        GROUP BY a.source_id
    ) AS said ON true;
END;

-- What every source that may supply the series has answered and has no candle for, whatever the grade.
CREATE FUNCTION silent_everywhere(of_series integer, of_sources smallint[], at timestamptz)
RETURNS TABLE (silent int8multirange)
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
          AND (a.expires_at > at OR a.grade = 'doubtful')
        GROUP BY a.source_id
    ) AS said ON true;
END;

-- Adds `these` to what a source lacks, in a row of its kind.
CREATE FUNCTION add_absence(of_series integer, of_source smallint, of_grade text, told smallint, until timestamptz,
                            seen_at timestamptz, of_run bigint, these int8multirange) RETURNS void
LANGUAGE sql
BEGIN ATOMIC
    INSERT INTO absences AS a (series_id, source_id, grade, confirmations, expires_at, first_seen_at, fill_run_id, absent)
    SELECT of_series, of_source, of_grade, told, until, seen_at, of_run, these
    WHERE NOT isempty(these)
    ON CONFLICT (series_id, source_id, grade, confirmations, expires_at, first_seen_at, fill_run_id)
    DO UPDATE SET absent = a.absent + excluded.absent;
END;

-- Takes `these` away from the rows of one series and source that have one of `of_grades`.
CREATE FUNCTION remove_absence(of_series integer, of_source smallint, of_grades text[], these int8multirange) RETURNS void
LANGUAGE sql
BEGIN ATOMIC
    DELETE FROM absences
    WHERE series_id = of_series AND source_id = of_source AND grade = ANY (of_grades) AND absent <@ these;
    UPDATE absences SET absent = absent - these
    WHERE series_id = of_series AND source_id = of_source AND grade = ANY (of_grades) AND absent && these;
END;

-- Writes down one answer of a source in run `of_run`: `missing` are the intervals it has no candle for, `present` those it
-- has one for. What is silent for the first time is doubtful, and may be asked for again at once. Silent again in another
-- run it is confirmed, unless this answer has bars that the one before lacked: then that one was not whole, and confirms
-- nothing. What was believed and has run out lives `next_life`; what is still believed is left as it is. Gives the length
-- of what is newly absent, in ms.
DROP FUNCTION record_answer(integer, smallint, int8multirange, int8multirange, interval, interval);
CREATE FUNCTION record_answer(of_series integer, of_source smallint, missing int8multirange, present int8multirange,
                              next_life interval, of_run bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path = backfill, pg_temp AS $$
DECLARE
    believed int8multirange;
    faded int8multirange;
    doubtful int8multirange;
    was_whole boolean;
    earlier absences;
    age interval;
BEGIN
    SELECT coalesce(range_agg(absent) FILTER (WHERE grade <> 'doubtful' AND expires_at > now()), '{}'),
           coalesce(range_agg(absent) FILTER (WHERE grade <> 'doubtful' AND expires_at <= now()), '{}'),
           coalesce(range_agg(absent) FILTER (WHERE grade = 'doubtful'), '{}')
    INTO believed, faded, doubtful
    FROM absences WHERE series_id = of_series AND source_id = of_source;

    was_whole := NOT doubtful && present;
    missing := missing - believed;
    IF (believed + faded + doubtful) && (present + missing * faded) THEN
        PERFORM remove_absence(of_series, of_source, '{proved,reported,doubtful}', present + missing * faded);
    END IF;
    PERFORM add_absence(of_series, of_source, 'reported', 3::smallint, date_trunc('hour', now() + next_life + interval '1 hour'),
                        date_trunc('hour', now()), of_run, missing * faded);

    FOR earlier IN SELECT * FROM absences
                   WHERE series_id = of_series AND source_id = of_source AND grade = 'doubtful' AND absent && missing
                     AND (fill_run_id <> of_run OR NOT was_whole) LOOP
        age := now() - earlier.first_seen_at;
        PERFORM remove_absence(of_series, of_source, '{doubtful}', earlier.absent * missing);
        PERFORM add_absence(
            of_series, of_source, 'doubtful', CASE WHEN was_whole THEN 2 ELSE 1 END::smallint,
            date_trunc('minute', now() + CASE WHEN age < interval '10 minutes' THEN interval '0'
                                              ELSE least(age, interval '4 hours') END),
            earlier.first_seen_at, of_run, earlier.absent * missing);
    END LOOP;
    PERFORM add_absence(of_series, of_source, 'doubtful', 1::smallint, date_trunc('minute', now()),
                        date_trunc('minute', now()), of_run, missing - faded - doubtful);
    RETURN covered_ms(missing - doubtful);
END
$$;

-- Gives doubtful silence a better grade, for `life`.
CREATE FUNCTION grade_silence(of_series integer, of_source smallint, these int8multirange, new_grade text, life interval)
RETURNS void
LANGUAGE plpgsql SET search_path = backfill, pg_temp AS $$
DECLARE
    graded int8multirange;
BEGIN
    SELECT coalesce(range_agg(absent * these), '{}') INTO graded
    FROM absences WHERE series_id = of_series AND source_id = of_source AND grade = 'doubtful' AND absent && these;
    PERFORM remove_absence(of_series, of_source, '{doubtful}', graded);
    PERFORM add_absence(of_series, of_source, new_grade, 2::smallint, date_trunc('hour', now() + life + interval '1 hour'),
                        date_trunc('hour', now()), 0, graded);
END
$$;

DROP VIEW gaps;
CREATE VIEW gaps AS
SELECT i.symbol, g.timeframe, from_epoch_ms(lower(gap)) AS gap_start, from_epoch_ms(upper(gap)) AS gap_end,
       (upper(gap) - lower(gap)) / g.step_ms AS missing_candles, of_kind.reason
FROM gaps_at(now()) AS g
JOIN series AS s ON s.id = g.series_id
JOIN instruments AS i ON i.id = g.instrument_id
CROSS JOIN LATERAL silent_everywhere(s.id, s.source_ids, now()) AS nowhere
CROSS JOIN LATERAL (VALUES ('lost', g.gaps * s.lost),
                           ('doubtful', g.gaps * nowhere.silent - s.lost),
                           ('not asked', g.gaps - nowhere.silent - s.lost)) AS of_kind (reason, bars)
CROSS JOIN LATERAL unnest(of_kind.bars) AS gap;
COMMENT ON VIEW gaps IS 'What is left to try now: window - held - (absent at every source that may be asked, or proved to have had no trade). reason: `not asked` (or not answered) by some source; `doubtful`: no source has them, but that is not believed yet; `lost`: another timeframe shows that something traded.';

DROP VIEW sync_status;
DROP FUNCTION sync_status_at(timestamptz, bigint);
-- The state of every wanted series as of a moment, as in 0008; doubtful_candles: gaps that no source has, which is not believed.
CREATE FUNCTION sync_status_at(at timestamptz, settle_ms bigint DEFAULT 0)
RETURNS TABLE (symbol text, timeframe text, status text, oldest_data timestamptz, newest_data timestamptz,
               total_candles bigint, expected_candles bigint, coverage_pct double precision,
               last_sync timestamptz, error_message text, missing_candles bigint, absent_candles bigint,
               ready boolean, bars_ready bigint, bars_needed bigint, doubtful_candles bigint)
LANGUAGE sql STABLE ROWS 1000
BEGIN ATOMIC
    SELECT i.symbol, w.timeframe,
           CASE WHEN last_run.status = 'running' THEN 'syncing'
                WHEN n.missing = 0 AND young.is_young AND (w.history_ms IS NOT NULL OR n.ready < need.bars)
                    THEN 'insufficient_history'
                WHEN n.missing = 0 THEN 'complete'
                WHEN last_run.status = 'failed' THEN 'error'
                WHEN w.held = '{}' THEN 'pending'
                ELSE 'gaps' END,
           from_epoch_ms(lower(w.held)),
           from_epoch_ms(upper(w.held) - w.step_ms),
           covered_ms(w.held) / w.step_ms,
           n.held + n.missing,
           CASE WHEN n.held + n.missing = 0 THEN 100 ELSE 100.0 * n.held / (n.held + n.missing) END,
           last_run.finished_at, last_run.error, n.missing, n.absent,
           n.ready >= need.bars, n.ready, need.bars,
           covered_ms(a.span * nowhere.silent - w.held - a.absent - w.lost) / w.step_ms
    FROM windows_at(at, settle_ms) AS w
    JOIN instruments AS i ON i.id = w.instrument_id
    CROSS JOIN LATERAL (
        SELECT int8multirange(int8range(w.start_ms, w.end_ms)) AS span, said.absent + w.no_trade - w.lost AS absent
        FROM absent_everywhere(w.series_id, w.source_ids, at) AS said
        OFFSET 0
    ) AS a
    CROSS JOIN LATERAL silent_everywhere(w.series_id, w.source_ids, at) AS nowhere
    CROSS JOIN LATERAL (
        SELECT a.span * w.held AS held, a.span * a.absent - w.held AS absent,
               coalesce(upper(a.span - w.held - a.absent), w.start_ms) AS whole_from_ms
        OFFSET 0
    ) AS m
    CROSS JOIN LATERAL (
        SELECT covered_ms(m.held) / w.step_ms AS held,
               CASE WHEN isempty(m.absent) THEN 0 ELSE covered_ms(m.absent) / w.step_ms END AS absent,
               (w.end_ms - m.whole_from_ms) / w.step_ms
               - CASE WHEN upper(m.absent) > m.whole_from_ms
                      THEN covered_ms(m.absent * int8multirange(int8range(m.whole_from_ms, w.end_ms))) / w.step_ms
                      ELSE 0 END AS ready
        OFFSET 0
    ) AS c
    CROSS JOIN LATERAL (
        SELECT c.*, (w.end_ms - w.start_ms) / w.step_ms - c.held - c.absent AS missing
    ) AS n
    CROSS JOIN LATERAL (
        SELECT w.start_ms > w.declared_ms
               OR lower(w.held) - w.declared_ms >= greatest(w.step_ms, 86400000) AS is_young
    ) AS young
    CROSS JOIN LATERAL (
        SELECT least(w.ready_bars, (w.end_ms - w.declared_ms) / w.step_ms) AS bars
    ) AS need
    LEFT JOIN LATERAL (
        SELECT r.status, r.finished_at, r.error FROM gap_fill_runs AS r
        WHERE r.series_id = w.series_id AND r.validation IS NULL ORDER BY r.started_at DESC LIMIT 1
    ) AS last_run ON true;
END;

CREATE VIEW sync_status AS
SELECT symbol, timeframe, status, oldest_data, newest_data, total_candles, expected_candles, coverage_pct,
       doubtful_candles, last_sync, error_message, ready, bars_ready
FROM sync_status_at(now());
COMMENT ON VIEW sync_status IS 'Each wanted series now. expected_candles: the bars of its window without the established no-trade bars. doubtful_candles: gaps that no source has a candle for, which is not believed yet. ready: so many bars as the universe asks for are there without a hole, up to the last closed one; bars_ready: how many.';
