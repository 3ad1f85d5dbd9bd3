-- The condition of each series and day, with evidence (docs/decisions/0025-may-i-use-this-day.md).
--
-- Whatever changes what is known of a day leaves a row in `day_changes`: it takes no lock that another writer waits for.
-- At the end of a run the days named there are counted again into `series_days`. The view reads the counts, and counts
-- for itself only what changed since, what ran out since, and the two days that the window cuts.

CREATE TABLE day_changes (
    series_id  integer NOT NULL,
    changed    int8multirange NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX day_changes_of_a_series ON day_changes (series_id);
COMMENT ON TABLE day_changes IS 'Bars of which something changed since their days were counted.';

CREATE TABLE series_days (
    series_id       integer NOT NULL,
    day_ms          bigint NOT NULL,
    held            integer NOT NULL,
    stand_in        integer NOT NULL,
    proved_absent   integer NOT NULL,
    reported_absent integer NOT NULL,
    refused         integer NOT NULL,
    lost            integer NOT NULL,
    doubtful        integer NOT NULL,
    touched         integer NOT NULL,
    believed_until  timestamptz NOT NULL,
    findings        jsonb,
    sources         jsonb,
    agreed          text[],
    revised         integer NOT NULL,
    changed_at      timestamptz NOT NULL,
    PRIMARY KEY (series_id, day_ms)
);
CREATE INDEX series_days_that_run_out ON series_days (series_id, believed_until) WHERE believed_until < 'infinity';
COMMENT ON TABLE series_days IS 'What is known of each day (of each week for 1w), in bars that open in it. The view `conditions` reads it.';
COMMENT ON COLUMN series_days.lost IS 'Bars that no source has although another timeframe shows their trades.';
COMMENT ON COLUMN series_days.touched IS 'Bars that another writer has changed and no source has confirmed since.';
COMMENT ON COLUMN series_days.believed_until IS 'When the first answer that the counts of absent bars rest on runs out.';

CREATE FUNCTION note_change(of_series integer, these int8multirange) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = backfill, pg_temp
BEGIN ATOMIC
    INSERT INTO day_changes (series_id, changed)
    SELECT of_series, these WHERE of_series IS NOT NULL AND NOT isempty(these);
END;

CREATE FUNCTION note_series_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = backfill, pg_temp AS $$
BEGIN
    PERFORM note_change(NEW.id,
        CASE WHEN OLD.source_ids IS DISTINCT FROM NEW.source_ids THEN OLD.held + NEW.held + NEW.no_trade + OLD.no_trade
             ELSE (OLD.held - NEW.held) + (NEW.held - OLD.held)
                + (OLD.stand_in - NEW.stand_in) + (NEW.stand_in - OLD.stand_in)
                + (OLD.no_trade - NEW.no_trade) + (NEW.no_trade - OLD.no_trade)
                + (OLD.lost - NEW.lost) + (NEW.lost - OLD.lost)
                + (OLD.touched - NEW.touched) + (NEW.touched - OLD.touched) END);
    RETURN NULL;
END
$$;
CREATE TRIGGER note_change AFTER UPDATE ON series
FOR EACH ROW WHEN ((OLD.held, OLD.stand_in, OLD.no_trade, OLD.lost, OLD.touched, OLD.source_ids)
                   IS DISTINCT FROM (NEW.held, NEW.stand_in, NEW.no_trade, NEW.lost, NEW.touched, NEW.source_ids))
EXECUTE FUNCTION note_series_change();

CREATE FUNCTION note_absence_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = backfill, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM note_change(NEW.series_id, NEW.absent);
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM note_change(OLD.series_id, OLD.absent);
    ELSE
        PERFORM note_change(NEW.series_id, (OLD.absent - NEW.absent) + (NEW.absent - OLD.absent));
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON absences
FOR EACH ROW EXECUTE FUNCTION note_absence_change();

-- A finding without an end speaks for the bar that opens at its start.
CREATE FUNCTION span_of_finding(one findings, step bigint) RETURNS int8multirange
LANGUAGE sql IMMUTABLE
RETURN int8multirange(int8range(epoch_ms(one.start_time),
                                greatest(CASE WHEN isfinite(one.end_time) THEN epoch_ms(one.end_time) END, epoch_ms(one.start_time) + step)));

CREATE FUNCTION note_finding_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = backfill, pg_temp AS $$
DECLARE
    step bigint := (SELECT s.step_ms FROM series AS s WHERE s.id = CASE TG_OP WHEN 'DELETE' THEN OLD.series_id ELSE NEW.series_id END);
BEGIN
    IF step IS NULL THEN
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' AND isfinite(OLD.start_time) THEN
        PERFORM note_change(OLD.series_id, span_of_finding(OLD, step));
    END IF;
    IF TG_OP <> 'DELETE' AND isfinite(NEW.start_time) THEN
        PERFORM note_change(NEW.series_id, span_of_finding(NEW, step));
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER note_new_finding AFTER INSERT OR DELETE ON findings
FOR EACH ROW EXECUTE FUNCTION note_finding_change();
CREATE TRIGGER note_change AFTER UPDATE ON findings
FOR EACH ROW WHEN ((OLD.status, OLD.verdict, OLD.start_time, OLD.end_time)
                   IS DISTINCT FROM (NEW.status, NEW.verdict, NEW.start_time, NEW.end_time))
EXECUTE FUNCTION note_finding_change();

CREATE FUNCTION note_revisions() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = backfill, pg_temp AS $$
BEGIN
    PERFORM note_change(s.id, range_agg(int8range(epoch_ms(r.open_time), epoch_ms(r.open_time) + s.step_ms)))
    FROM revised AS r JOIN series AS s ON s.id = r.series_id GROUP BY s.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER note_change AFTER INSERT ON revisions REFERENCING NEW TABLE AS revised
FOR EACH STATEMENT EXECUTE FUNCTION note_revisions();

-- A source whose listing is refused may not be asked: with it changes what is absent everywhere.
CREATE FUNCTION note_listing_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = backfill, pg_temp AS $$
BEGIN
    PERFORM note_change(s.id, a.absent) FROM series AS s JOIN absences AS a ON a.series_id = s.id
    WHERE s.instrument_id = NEW.instrument_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER note_change AFTER UPDATE ON listings
FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION note_listing_change();

-- What is held and what is absent of [first_ms, past_ms), in bars. A span that is held whole is not looked up.
CREATE FUNCTION day_ledger(of_series integer, first_ms bigint, past_ms bigint, at timestamptz)
RETURNS TABLE (held integer, stand_in integer, proved_absent integer, reported_absent integer, refused integer,
               lost integer, doubtful integer, touched integer, believed_until timestamptz)
LANGUAGE sql STABLE ROWS 1
BEGIN ATOMIC
    SELECT (covered_ms(d.span * s.held) / s.step_ms)::integer,
           (CASE WHEN s.stand_in = '{}' THEN 0 ELSE covered_ms(d.span * s.stand_in) / s.step_ms END)::integer,
           (covered_ms(d.open * (known.absent * known.proved + s.no_trade) - s.lost) / s.step_ms)::integer,
           (covered_ms(d.open * known.absent - known.proved - known.refused - s.no_trade - s.lost) / s.step_ms)::integer,
           (covered_ms(d.open * known.refused) / s.step_ms)::integer,
           (covered_ms(d.open * s.lost * known.silent - known.refused) / s.step_ms)::integer,
           (covered_ms(d.open * known.silent - known.absent - known.refused - s.no_trade - s.lost) / s.step_ms)::integer,
           (CASE WHEN s.touched = '{}' THEN 0 ELSE covered_ms(d.span * s.touched) / s.step_ms END)::integer,
           coalesce(known.until, 'infinity')
    FROM series AS s
    CROSS JOIN LATERAL (
        SELECT one.span, one.span - s.held AS open
        FROM (SELECT int8multirange(int8range(day_ledger.first_ms, day_ledger.past_ms)) AS span) AS one OFFSET 0
    ) AS d
    CROSS JOIN LATERAL (
        SELECT CASE WHEN isempty(d.open) THEN '{}'
                    ELSE (SELECT n.absent FROM absent_everywhere(s.id, s.source_ids, at) AS n) END AS absent,
               CASE WHEN isempty(d.open) THEN '{}'
                    ELSE (SELECT n.silent FROM silent_everywhere(s.id, s.source_ids, at) AS n) END AS silent,
               CASE WHEN isempty(d.open) THEN '{}'
                    ELSE coalesce((SELECT range_agg(a.absent) FROM absences AS a
                                   WHERE a.series_id = s.id AND a.source_id = ANY (s.source_ids) AND a.grade = 'proved'), '{}')
                    END AS proved,
               CASE WHEN isempty(d.open) THEN '{}'
                    ELSE coalesce((SELECT range_agg(a.absent) FROM absences AS a
                                   WHERE a.series_id = s.id AND a.source_id = ANY (s.source_ids) AND a.grade = 'refused'), '{}')
                    END AS refused,
               CASE WHEN NOT isempty(d.open)
                    THEN (SELECT min(a.expires_at) FROM absences AS a
                          WHERE a.series_id = s.id AND a.source_id = ANY (s.source_ids) AND a.expires_at > at
                            AND a.grade IN ('proved', 'reported') AND a.absent && d.open) END AS until
        OFFSET 0
    ) AS known
    WHERE s.id = of_series;
END;

-- Who supplied the bars of [first_ms, past_ms), who was compared with them and agreed, what is open about them, and how
-- often one was replaced.
CREATE FUNCTION day_evidence(of_series integer, first_ms bigint, past_ms bigint)
RETURNS TABLE (findings jsonb, sources jsonb, agreed text[], revised integer)
LANGUAGE sql STABLE ROWS 1
BEGIN ATOMIC
    SELECT found.kinds, given.sources, found.agreed,
           (SELECT count(*)::integer FROM revisions AS r
            WHERE r.series_id = of_series AND r.open_time >= span.first AND r.open_time < span.past)
    FROM (SELECT from_epoch_ms(first_ms) AS first, from_epoch_ms(past_ms) AS past) AS span
    CROSS JOIN LATERAL (
        SELECT jsonb_object_agg(src.name, c.bars) AS sources
        FROM (SELECT source_id, count(*) AS bars FROM candles
              WHERE series_id = of_series AND open_time >= span.first AND open_time < span.past
              GROUP BY source_id) AS c
        JOIN sources AS src ON src.id = c.source_id
    ) AS given
    CROSS JOIN LATERAL (
        SELECT jsonb_object_agg(f.kind, f.open) FILTER (WHERE f.open > 0) AS kinds,
               (array_agg(DISTINCT f.agrees) FILTER (WHERE f.agrees IS NOT NULL)) AS agreed
        FROM (
            SELECT f.kind, count(*) FILTER (WHERE f.status = 'open') AS open,
                   max(src.name) FILTER (WHERE f.kind = 'cross_source' AND f.field IS NULL AND f.verdict = 'agree') AS agrees
            FROM findings AS f LEFT JOIN sources AS src ON src.id = f.source_id
            WHERE f.series_id = of_series AND isfinite(f.start_time) AND f.start_time < span.past
              AND greatest(f.end_time, f.start_time + interval '1 ms') > span.first
            GROUP BY f.kind, f.source_id
        ) AS f
    ) AS found;
END;

-- Counts again the days of one series that changed; gives how many they were. One at a time: the older count must not
-- come last.
CREATE FUNCTION count_changed_days(of_series integer) RETURNS integer
LANGUAGE plpgsql SET search_path = backfill, pg_temp AS $$
DECLARE
    counted integer;
BEGIN
    PERFORM FROM day_changes WHERE series_id = of_series LIMIT 1;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock(1650877561, of_series);  -- "bfdy" in ASCII
    WITH taken AS (
        DELETE FROM day_changes WHERE series_id = of_series RETURNING changed, changed_at
    ), days AS (
        SELECT day_ms, b.bucket_ms, max(t.changed_at) AS changed_at
        FROM taken AS t
        JOIN series AS s ON s.id = of_series
        CROSS JOIN LATERAL (SELECT greatest(s.step_ms, 86400000) AS bucket_ms) AS b
        CROSS JOIN LATERAL unnest(t.changed) AS one
        CROSS JOIN LATERAL generate_series(grid_floor(lower(one), b.bucket_ms, s.anchor_ms), upper(one) - 1, b.bucket_ms) AS day_ms
        GROUP BY day_ms, b.bucket_ms
    )
    INSERT INTO series_days AS d (series_id, day_ms, held, stand_in, proved_absent, reported_absent, refused, lost, doubtful,
                                  touched, believed_until, findings, sources, agreed, revised, changed_at)
    SELECT of_series, days.day_ms, l.*, e.*, days.changed_at
    FROM days
    CROSS JOIN LATERAL day_ledger(of_series, days.day_ms, days.day_ms + days.bucket_ms, now()) AS l
    CROSS JOIN LATERAL day_evidence(of_series, days.day_ms, days.day_ms + days.bucket_ms) AS e
    ON CONFLICT (series_id, day_ms) DO UPDATE
    SET held = excluded.held, stand_in = excluded.stand_in, proved_absent = excluded.proved_absent,
        reported_absent = excluded.reported_absent, refused = excluded.refused, lost = excluded.lost,
        doubtful = excluded.doubtful, touched = excluded.touched, believed_until = excluded.believed_until,
        findings = excluded.findings, sources = excluded.sources, agreed = excluded.agreed, revised = excluded.revised,
        changed_at = CASE WHEN (d.held, d.stand_in, d.proved_absent, d.reported_absent, d.refused, d.lost, d.doubtful, d.touched,
                                d.findings, d.sources, d.agreed, d.revised)
                          IS DISTINCT FROM (excluded.held, excluded.stand_in, excluded.proved_absent, excluded.reported_absent,
                                excluded.refused, excluded.lost, excluded.doubtful, excluded.touched, excluded.findings,
                                excluded.sources, excluded.agreed, excluded.revised)
                     THEN excluded.changed_at ELSE d.changed_at END;
    GET DIAGNOSTICS counted = ROW_COUNT;
    RETURN counted;
END
$$;

-- What no source can serve any more of each series' gaps, and what will have left every source's reach by `horizon` from
-- now; reach_ms: of who serves the first of them longest. A source that answered that it lacks a bar does not serve it.
CREATE FUNCTION leaving_at(at timestamptz, settle_ms bigint DEFAULT 0, from_ms bigint DEFAULT NULL, to_ms bigint DEFAULT NULL,
                           horizon interval DEFAULT '48 hours')
RETURNS TABLE (series_id integer, instrument_id integer, timeframe text, step_ms bigint, gaps int8multirange,
               gone int8multirange, leaving int8multirange, reach_ms bigint)
LANGUAGE sql STABLE ROWS 100
BEGIN ATOMIC
    SELECT g.series_id, g.instrument_id, g.timeframe, g.step_ms, g.gaps, g.gaps - r.still, r.still - r.later,
           (SELECT max(can.reach_ms) FROM unnest(r.reaches, r.serves) AS can (reach_ms, serve)
            WHERE can.serve @> lower(r.still - r.later))
    FROM gaps_at(at, settle_ms, from_ms, to_ms) AS g
    JOIN series AS s ON s.id = g.series_id
    CROSS JOIN LATERAL (
        SELECT coalesce(range_agg(can.serve), '{}') AS still,
               coalesce(range_agg(can.serve * int8multirange(int8range(
                   epoch_ms(at + horizon) - can.reach_ms, NULL))), '{}') AS later,
               array_agg(can.reach_ms) AS reaches, array_agg(can.serve) AS serves
        FROM (
            SELECT src.reach_bars * s.step_ms AS reach_ms,
                   (g.gaps - coalesce((
                       SELECT range_agg(a.absent) FROM absences AS a
                       WHERE a.series_id = s.id AND a.source_id = src.id AND a.grade <> 'doubtful' AND a.expires_at > at), '{}'))
                   * int8multirange(int8range(epoch_ms(at) - src.reach_bars * s.step_ms, NULL)) AS serve
            FROM sources AS src
            WHERE src.id = ANY (s.source_ids)
              AND coalesce((SELECT NOT bool_and(l.status = 'refused') FROM listings AS l
                            WHERE l.instrument_id = s.instrument_id AND l.source_id = src.id), true)
        ) AS can
    ) AS r
    WHERE EXISTS (SELECT FROM sources AS src WHERE src.id = ANY (s.source_ids) AND src.reach_bars IS NOT NULL)
    OFFSET 0;
END;

-- Which days changed since they were counted.
CREATE VIEW changed_series AS
SELECT series_id, range_agg(changed) AS changed, max(changed_at) AS changed_at FROM day_changes GROUP BY series_id;

-- The windows, with the length of what one row of `series_days` covers. OFFSET 0: each bound is worked out once, not once a day.
CREATE FUNCTION day_windows_at(at timestamptz, settle_ms bigint, from_ms bigint, to_ms bigint)
RETURNS TABLE (symbol text, series_id integer, timeframe text, step_ms bigint, bucket_ms bigint, bucket_bars integer,
               anchor bigint, start_ms bigint, end_ms bigint, changed int8multirange, changed_at timestamptz)
LANGUAGE sql STABLE ROWS 1000
BEGIN ATOMIC
    SELECT i.symbol, w.series_id, w.timeframe, w.step_ms, greatest(w.step_ms, 86400000),
           (greatest(w.step_ms, 86400000) / w.step_ms)::integer, anchor_ms(w.timeframe),
           w.start_ms, w.end_ms, c.changed, c.changed_at
    FROM windows_at(at, day_windows_at.settle_ms, from_ms, to_ms) AS w
    JOIN instruments AS i ON i.id = w.instrument_id
    LEFT JOIN changed_series AS c ON c.series_id = w.series_id
    OFFSET 0;
END;

-- What is known of each day of the windows. First the days as they were counted; then those whose counts do not hold: cut
-- by the window, changed since, or resting on an answer that ran out; then those of which nothing is known, all gap.
CREATE FUNCTION days_at(at timestamptz, settle_ms bigint DEFAULT 0, from_ms bigint DEFAULT NULL, to_ms bigint DEFAULT NULL)
RETURNS TABLE (symbol text, series_id integer, timeframe text, step_ms bigint, day_ms bigint, first_ms bigint,
               past_ms bigint, bars integer, held integer, stand_in integer, proved_absent integer, reported_absent integer,
               refused integer, lost integer, doubtful integer, touched integer, findings jsonb, sources jsonb,
               agreed text[], revised integer, changed_at timestamptz)
LANGUAGE sql STABLE ROWS 10000
BEGIN ATOMIC
    SELECT w.symbol, w.series_id, w.timeframe, w.step_ms, d.day_ms, d.day_ms, d.day_ms + w.bucket_ms, w.bucket_bars,
           d.held, d.stand_in, d.proved_absent, d.reported_absent, d.refused, d.lost, d.doubtful, d.touched,
           d.findings, d.sources, d.agreed, d.revised, d.changed_at
    FROM day_windows_at(at, days_at.settle_ms, from_ms, to_ms) AS w
    JOIN series_days AS d ON d.series_id = w.series_id AND d.day_ms >= w.start_ms AND d.day_ms <= w.end_ms - w.bucket_ms
    WHERE d.believed_until > at AND (w.changed IS NULL OR NOT w.changed && int8range(d.day_ms, d.day_ms + w.bucket_ms))
    UNION ALL
    SELECT w.symbol, w.series_id, w.timeframe, w.step_ms, day.day_ms, day.first_ms, day.past_ms,
           ((day.past_ms - day.first_ms) / w.step_ms)::integer,
           x.held, x.stand_in, x.proved_absent, x.reported_absent, x.refused, x.lost, x.doubtful, x.touched,
           CASE WHEN day.is_changed THEN e.findings ELSE d.findings END, CASE WHEN day.is_changed THEN e.sources ELSE d.sources END,
           CASE WHEN day.is_changed THEN e.agreed ELSE d.agreed END, coalesce(e.revised, d.revised, 0),
           CASE WHEN day.is_changed THEN w.changed_at ELSE d.changed_at END
    FROM day_windows_at(at, days_at.settle_ms, from_ms, to_ms) AS w
    CROSS JOIN LATERAL (
        SELECT one.day_ms, greatest(one.day_ms, w.start_ms) AS first_ms, least(one.day_ms + w.bucket_ms, w.end_ms) AS past_ms,
               coalesce(w.changed && int8range(one.day_ms, one.day_ms + w.bucket_ms), false) AS is_changed
        FROM (
            SELECT edge.day_ms FROM (VALUES (grid_floor(w.start_ms, w.bucket_ms, w.anchor)),
                                            (grid_floor(w.end_ms - 1, w.bucket_ms, w.anchor))) AS edge (day_ms)
            WHERE edge.day_ms < w.start_ms OR edge.day_ms + w.bucket_ms > w.end_ms
            UNION
            SELECT changed_day.day_ms FROM unnest(w.changed * int8multirange(int8range(w.start_ms, w.end_ms))) AS span
            CROSS JOIN LATERAL generate_series(grid_floor(lower(span), w.bucket_ms, w.anchor), upper(span) - 1,
                                               w.bucket_ms) AS changed_day (day_ms)
            UNION
            SELECT d.day_ms FROM series_days AS d
            WHERE d.series_id = w.series_id AND d.believed_until <= at AND d.believed_until < 'infinity'
              AND d.day_ms > w.start_ms - w.bucket_ms AND d.day_ms < w.end_ms
        ) AS one
        OFFSET 0
    ) AS day
    LEFT JOIN LATERAL (
        SELECT one.* FROM series_days AS one WHERE one.series_id = w.series_id AND one.day_ms = day.day_ms LIMIT 1
    ) AS d ON true
    CROSS JOIN LATERAL day_ledger(w.series_id, day.first_ms, day.past_ms, at) AS x
    LEFT JOIN LATERAL (
        SELECT one.* FROM day_evidence(w.series_id, day.day_ms, day.day_ms + w.bucket_ms) AS one WHERE day.is_changed
    ) AS e ON true
    UNION ALL
    SELECT w.symbol, w.series_id, w.timeframe, w.step_ms, day.day_ms, day.day_ms, day.day_ms + w.bucket_ms, w.bucket_bars,
           0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, 0, NULL
    FROM day_windows_at(at, days_at.settle_ms, from_ms, to_ms) AS w
    JOIN gaps_at(at, days_at.settle_ms, from_ms, to_ms) AS g ON g.series_id = w.series_id
    CROSS JOIN LATERAL (
        SELECT DISTINCT gap_day.day_ms FROM unnest(g.gaps) AS span
        CROSS JOIN LATERAL generate_series(grid_floor(lower(span), w.bucket_ms, w.anchor), upper(span) - 1,
                                           w.bucket_ms) AS gap_day (day_ms)
    ) AS day
    WHERE day.day_ms >= w.start_ms AND day.day_ms + w.bucket_ms <= w.end_ms
      AND (w.changed IS NULL OR NOT w.changed && int8range(day.day_ms, day.day_ms + w.bucket_ms))
      AND NOT EXISTS (SELECT FROM series_days AS d WHERE d.series_id = w.series_id AND d.day_ms = day.day_ms);
END;

CREATE FUNCTION conditions_at(at timestamptz, settle_ms bigint DEFAULT 0, from_ms bigint DEFAULT NULL,
                              to_ms bigint DEFAULT NULL)
RETURNS TABLE (symbol text, timeframe text, day date, condition text, expected integer, held integer, stand_in integer,
               proved_absent integer, reported_absent integer, refused integer, doubtful integer, missing integer,
               findings jsonb, sources jsonb, agreed text[], changed_at timestamptz, leaves_reach_at timestamptz,
               reason text, would_change text)
LANGUAGE sql STABLE ROWS 10000
BEGIN ATOMIC
    SELECT n.symbol, n.timeframe, date '1970-01-01' + (n.day_ms / 86400000)::integer,
           CASE WHEN n.unobtainable > 0 THEN 'missing'
                WHEN n.missing > n.doubtful THEN 'pending'
                WHEN n.doubtful + n.refused + n.touched > 0 OR n.findings IS NOT NULL THEN 'doubtful'
                WHEN n.stand_in > 0 THEN 'degraded'
                WHEN n.revised > 0 THEN 'repaired'
                ELSE 'available' END,
           n.bars - n.proved_absent - n.reported_absent, n.held, n.stand_in, n.proved_absent, n.reported_absent, n.refused,
           n.doubtful, n.missing, coalesce(n.findings, '{}'), coalesce(n.sources, '{}'), coalesce(n.agreed, '{}'),
           n.changed_at, n.leaves_reach_at,
           CASE WHEN n.has_story THEN nullif(concat_ws('; ',
               CASE WHEN n.lost > 0 THEN n.lost || ' bars traded, and no source has them' END,
               CASE WHEN n.gone > 0 THEN n.gone || ' bars are beyond the reach of every source' END,
               CASE WHEN n.missing - n.doubtful - n.unobtainable > 0
                    THEN (n.missing - n.doubtful - n.unobtainable) || ' bars are still to be asked for' END,
               CASE WHEN n.doubtful > 0 THEN n.doubtful || ' bars are silent at every source, not believed yet' END,
               CASE WHEN n.refused > 0 THEN n.refused || ' bars have only rows that broke a rule' END,
               CASE WHEN n.touched > 0 THEN n.touched || ' bars were changed by another writer, not confirmed since' END,
               CASE WHEN n.findings IS NOT NULL THEN 'open findings ' || n.findings::text END,
               CASE WHEN n.stand_in > 0 THEN n.stand_in || ' bars stand in for the primary source' END,
               CASE WHEN n.revised > 0 THEN n.revised || ' replacements in revisions' END,
               CASE WHEN n.reported_absent > 0 THEN n.reported_absent || ' bars reported absent' END,
               CASE WHEN n.proved_absent > 0 THEN n.proved_absent || ' bars proved to have had no trade' END), '') END,
           CASE WHEN n.has_story THEN nullif(concat_ws('; ',
               CASE WHEN n.unobtainable > 0 THEN 'another source for the series, or `backfill correct`' END,
               CASE WHEN n.missing > n.unobtainable THEN 'the next fill' END,
               CASE WHEN n.refused > 0 THEN '`backfill quarantine`, or a later answer of the source' END,
               CASE WHEN n.touched > 0 THEN 'the next validation, which reads them again' END,
               CASE WHEN n.findings IS NOT NULL THEN 'the next validation, or `backfill findings dismiss`' END,
               CASE WHEN n.stand_in > 0 THEN 'the primary source''s own bars' END), '') END
    FROM (
        SELECT m.*, m.lost + m.gone AS unobtainable, m.bars > m.held OR m.findings IS NOT NULL
               OR m.stand_in + m.revised + m.touched > 0 AS has_story
        FROM (
            SELECT k.symbol, k.timeframe, k.day_ms, k.bars, k.findings, k.sources, k.agreed, k.changed_at,
                   k.revised, k.held, k.stand_in, k.proved_absent, k.reported_absent, k.refused, k.lost, k.doubtful, k.touched,
                   k.bars - k.held - k.proved_absent - k.reported_absent - k.refused AS missing,
                   CASE WHEN l.gone IS NULL OR k.bars <= k.held THEN 0
                        ELSE (covered_ms(l.gone * int8multirange(int8range(k.first_ms, k.past_ms))) / k.step_ms)::integer
                   END AS gone,
                   CASE WHEN l.leaving IS NOT NULL AND k.bars > k.held
                        THEN from_epoch_ms(lower(l.leaving * int8multirange(int8range(k.first_ms, k.past_ms))) + l.reach_ms)
                   END AS leaves_reach_at
            FROM days_at(at, conditions_at.settle_ms, from_ms, to_ms) AS k
            LEFT JOIN leaving_at(at, conditions_at.settle_ms, from_ms, to_ms) AS l ON l.series_id = k.series_id
        ) AS m
    ) AS n;
END;

CREATE VIEW conditions AS SELECT * FROM conditions_at(now());
COMMENT ON VIEW conditions IS 'May I use this day? One row a wanted series and day of its window (a week for 1w), counts in bars that open in it. available: whole, of the primary source; repaired: whole, some bars were replaced; degraded: whole, other sources stand in; doubtful: a finding is open, or bars are silent, refused or changed by another writer; pending: something is left to ask; missing: no source can give it. expected: without the bars established as absent; missing: of these, neither held nor refused. would_change: what can change the condition. leaves_reach_at: when the first missing bar leaves every source''s reach, if within 48 hours.';

-- Everything that is known is counted once, series by series, by the next run or by candles_maintain.
INSERT INTO day_changes (series_id, changed)
SELECT id, held + no_trade FROM series WHERE NOT isempty(held + no_trade)
UNION ALL SELECT series_id, range_agg(absent) FROM absences GROUP BY series_id;
