-- Markets that close (docs/decisions/0031-hours-and-prices.md). A bar that opens while its market is closed cannot exist: it is no
-- gap, and no source is asked about it, so it is not absent either.

CREATE TABLE closures (
    calendar  text NOT NULL,
    timeframe text NOT NULL,
    closed    int8multirange NOT NULL,
    known     int8range NOT NULL,
    made_by   text NOT NULL,
    made_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (calendar, timeframe)
);
COMMENT ON TABLE closures IS 'When the market of a calendar is closed, in whole bars of a timeframe, [ms, ms); written with the wishes.';
COMMENT ON COLUMN closures.known IS 'The span that the calendar was asked for; outside it the market counts as open.';
COMMENT ON COLUMN closures.made_by IS 'The version of the calendar''s rules.';

ALTER TABLE series ADD COLUMN calendar text, ADD COLUMN splits text CHECK (splits IN ('adjusted', 'raw'));
COMMENT ON COLUMN series.calendar IS 'When its market is open: a name in closures. NULL: always.';
COMMENT ON COLUMN series.splits IS 'Whether its prices are adjusted for splits; NULL: it has none.';

-- The closed bars of one series. Who asks for many tests `calendar IS NULL` first: a call costs more than most series need.
CREATE FUNCTION closed_of(of_calendar text, of_timeframe text) RETURNS int8multirange
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT coalesce((SELECT c.closed FROM closures AS c
                     WHERE c.calendar = of_calendar AND c.timeframe = of_timeframe), '{}');
END;

-- As in 0011; of a market that closes, no_trade has its closed bars too, and none of them is lost.
CREATE OR REPLACE FUNCTION windows_at(at timestamptz, settle_ms bigint DEFAULT 0, from_ms bigint DEFAULT NULL,
                           to_ms bigint DEFAULT NULL)
RETURNS TABLE (series_id integer, instrument_id integer, timeframe text, step_ms bigint, source_ids smallint[],
               held int8multirange, no_trade int8multirange, lost int8multirange, start_ms bigint, end_ms bigint,
               declared_ms bigint, history_ms bigint, ready_bars integer)
LANGUAGE sql STABLE ROWS 1000
BEGIN ATOMIC
    SELECT w.id, w.instrument_id, w.timeframe, w.step_ms, w.source_ids, w.held,
           CASE WHEN w.calendar IS NULL THEN w.no_trade ELSE w.no_trade + closed_of(w.calendar, w.timeframe) END,
           CASE WHEN w.calendar IS NULL THEN w.lost ELSE w.lost - closed_of(w.calendar, w.timeframe) END, w.start_ms, w.end_ms,
           w.declared_ms, w.history_ms, w.ready_bars
    FROM (
        SELECT s.*, e.declared_ms,
               grid_floor(least(e.last_closed_ms, windows_at.to_ms), s.step_ms, s.anchor_ms) AS end_ms,
               greatest(e.declared_ms,
                        CASE WHEN e.describes THEN grid_floor(epoch_ms(i.list_time), s.step_ms, s.anchor_ms) END
               ) AS start_ms
        FROM series AS s
        JOIN instruments AS i ON i.id = s.instrument_id
        CROSS JOIN LATERAL (
            SELECT c.last_closed_ms, c.describes,
                   greatest(
                       grid_ceil(coalesce(windows_at.from_ms, greatest(c.last_closed_ms - s.history_ms, epoch_ms(s.since))),
                                 s.step_ms, s.anchor_ms),
                       grid_ceil(c.last_closed_ms - s.retention_ms, s.step_ms, s.anchor_ms)
                   ) AS declared_ms
            FROM (
                SELECT grid_floor(
                           CASE WHEN h.describes
                                THEN least(epoch_ms(at) - windows_at.settle_ms, epoch_ms(s.until), epoch_ms(i.expire_time),
                                           CASE WHEN i.state = 'unlisted' AND i.last_listed_at IS NOT NULL
                                                THEN greatest(epoch_ms(i.last_listed_at), upper(s.held - s.stand_in)) END)
                                ELSE least(epoch_ms(at) - windows_at.settle_ms, epoch_ms(s.until)) END,
                           s.step_ms, s.anchor_ms) AS last_closed_ms, h.describes
                FROM (VALUES (s.source_ids[1] = i.described_by)) AS h (describes)
                OFFSET 0
            ) AS c
        ) AS e
        WHERE s.wanted
    ) AS w
    WHERE w.start_ms < w.end_ms;
END;

DROP VIEW sync_status;
DROP FUNCTION sync_status_at(timestamptz, bigint);
-- As in 0013. closed_candles: bars of the window outside the market's hours, which are neither expected nor absent.
CREATE FUNCTION sync_status_at(at timestamptz, settle_ms bigint DEFAULT 0)
RETURNS TABLE (symbol text, timeframe text, status text, oldest_data timestamptz, newest_data timestamptz,
               total_candles bigint, expected_candles bigint, coverage_pct double precision,
               last_sync timestamptz, error_message text, missing_candles bigint, absent_candles bigint,
               ready boolean, bars_ready bigint, bars_needed bigint, doubtful_candles bigint,
               closed_candles bigint)
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
           last_run.finished_at, last_run.error, n.missing, n.absent - n.closed,
           n.ready >= need.bars, n.ready, need.bars,
           covered_ms(a.span * nowhere.silent - w.held - a.absent - w.lost) / w.step_ms, n.closed
    FROM windows_at(at, settle_ms) AS w
    JOIN instruments AS i ON i.id = w.instrument_id
    JOIN series AS s ON s.id = w.series_id
    CROSS JOIN LATERAL (
        SELECT CASE WHEN s.calendar IS NULL THEN '{}' ELSE closed_of(s.calendar, s.timeframe) END AS closed OFFSET 0
    ) AS market
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
               CASE WHEN isempty(market.closed) THEN 0 ELSE covered_ms(m.absent * market.closed) / w.step_ms END AS closed,
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
    CROSS JOIN LATERAL (  -- of the declared length, the first bar that exists and how many do
        SELECT CASE WHEN isempty(market.closed) THEN w.declared_ms ELSE lower(due.bars) END AS declared_ms,
               CASE WHEN isempty(market.closed) THEN w.end_ms - w.declared_ms ELSE covered_ms(due.bars) END AS length_ms
        FROM (SELECT CASE WHEN NOT isempty(market.closed)
                          THEN int8multirange(int8range(w.declared_ms, w.end_ms)) - market.closed END AS bars OFFSET 0) AS due
    ) AS opening
    CROSS JOIN LATERAL (
        SELECT w.start_ms > w.declared_ms
               OR lower(w.held) - opening.declared_ms >= greatest(w.step_ms, 86400000) AS is_young
    ) AS young
    CROSS JOIN LATERAL (
        SELECT least(w.ready_bars, opening.length_ms / w.step_ms) AS bars
    ) AS need
    LEFT JOIN LATERAL (
        SELECT r.status, r.finished_at, r.error FROM gap_fill_runs AS r
        WHERE r.series_id = w.series_id AND r.validation IS NULL ORDER BY r.started_at DESC LIMIT 1
    ) AS last_run ON true;
END;

CREATE VIEW sync_status AS
SELECT symbol, timeframe, status, oldest_data, newest_data, total_candles, expected_candles, coverage_pct,
       doubtful_candles, closed_candles, last_sync, error_message, ready, bars_ready
FROM sync_status_at(now());
COMMENT ON VIEW sync_status IS 'Each wanted series now. expected_candles: the bars of its window without the established no-trade bars. doubtful_candles: gaps that no source has a candle for, which is not believed yet. closed_candles: bars outside the market''s hours. ready: so many bars as the universe asks for are there without a hole, up to the last closed one; bars_ready: how many.';

DROP VIEW conditions;
DROP FUNCTION conditions_at(timestamptz, bigint, bigint, bigint);
DROP FUNCTION days_at(timestamptz, bigint, bigint, bigint);
DROP FUNCTION day_windows_at(timestamptz, bigint, bigint, bigint);
DROP FUNCTION day_ledger(integer, bigint, bigint, timestamptz);
ALTER TABLE series_days ADD COLUMN closed integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN series_days.closed IS 'Bars outside the market''s hours that no source has.';

-- As in 0016, without the closed bars.
CREATE FUNCTION day_ledger(of_series integer, first_ms bigint, past_ms bigint, at timestamptz)
RETURNS TABLE (held integer, stand_in integer, proved_absent integer, reported_absent integer, refused integer,
               lost integer, doubtful integer, touched integer, believed_until timestamptz, closed integer)
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
           coalesce(known.until, 'infinity'),
           (CASE WHEN s.calendar IS NULL THEN 0 ELSE covered_ms(d.span - s.held - d.open) / s.step_ms END)::integer
    FROM series AS s
    CROSS JOIN LATERAL (
        SELECT one.span,
               CASE WHEN s.calendar IS NULL THEN one.span - s.held
                    ELSE one.span - s.held - closed_of(s.calendar, s.timeframe) END AS open
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

CREATE OR REPLACE FUNCTION count_changed_days(of_series integer) RETURNS integer
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
                                  touched, believed_until, closed, findings, sources, agreed, revised, changed_at)
    SELECT of_series, days.day_ms, l.*, e.*, days.changed_at
    FROM days
    CROSS JOIN LATERAL day_ledger(of_series, days.day_ms, days.day_ms + days.bucket_ms, now()) AS l
    CROSS JOIN LATERAL day_evidence(of_series, days.day_ms, days.day_ms + days.bucket_ms) AS e
    ON CONFLICT (series_id, day_ms) DO UPDATE
    SET held = excluded.held, stand_in = excluded.stand_in, proved_absent = excluded.proved_absent,
        reported_absent = excluded.reported_absent, refused = excluded.refused, lost = excluded.lost,
        doubtful = excluded.doubtful, touched = excluded.touched, believed_until = excluded.believed_until, closed = excluded.closed,
        findings = excluded.findings, sources = excluded.sources, agreed = excluded.agreed, revised = excluded.revised,
        changed_at = CASE WHEN (d.held, d.stand_in, d.proved_absent, d.reported_absent, d.refused, d.lost, d.doubtful, d.touched, d.closed,
                                d.findings, d.sources, d.agreed, d.revised)
                          IS DISTINCT FROM (excluded.held, excluded.stand_in, excluded.proved_absent, excluded.reported_absent,
                                excluded.refused, excluded.lost, excluded.doubtful, excluded.touched, excluded.closed, excluded.findings,
                                excluded.sources, excluded.agreed, excluded.revised)
                     THEN excluded.changed_at ELSE d.changed_at END;
    GET DIAGNOSTICS counted = ROW_COUNT;
    RETURN counted;
END
$$;

-- What no source can serve any more of each series' gaps, and what will have left every source's reach by `horizon` from
-- now; reach_ms: of who serves the first of them longest. A source that answered that it lacks a bar does not serve it.
CREATE OR REPLACE FUNCTION leaving_at(at timestamptz, settle_ms bigint DEFAULT 0, from_ms bigint DEFAULT NULL, to_ms bigint DEFAULT NULL,
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

CREATE FUNCTION day_windows_at(at timestamptz, settle_ms bigint, from_ms bigint, to_ms bigint)
RETURNS TABLE (symbol text, series_id integer, timeframe text, step_ms bigint, bucket_ms bigint, bucket_bars integer,
               anchor bigint, start_ms bigint, end_ms bigint, changed int8multirange, changed_at timestamptz,
               closed int8multirange)
LANGUAGE sql STABLE ROWS 1000
BEGIN ATOMIC
    SELECT i.symbol, w.series_id, w.timeframe, w.step_ms, greatest(w.step_ms, 86400000),
           (greatest(w.step_ms, 86400000) / w.step_ms)::integer, anchor_ms(w.timeframe),
           w.start_ms, w.end_ms, c.changed, c.changed_at,
           CASE WHEN s.calendar IS NULL THEN '{}'
                ELSE closed_of(s.calendar, s.timeframe) * int8multirange(int8range(w.start_ms, w.end_ms)) END
    FROM windows_at(at, day_windows_at.settle_ms, from_ms, to_ms) AS w
    JOIN series AS s ON s.id = w.series_id
    JOIN instruments AS i ON i.id = w.instrument_id
    LEFT JOIN changed_series AS c ON c.series_id = w.series_id
    OFFSET 0;
END;

CREATE FUNCTION days_at(at timestamptz, settle_ms bigint DEFAULT 0, from_ms bigint DEFAULT NULL, to_ms bigint DEFAULT NULL)
RETURNS TABLE (symbol text, series_id integer, timeframe text, step_ms bigint, day_ms bigint, first_ms bigint,
               past_ms bigint, bars integer, held integer, stand_in integer, proved_absent integer, reported_absent integer,
               refused integer, lost integer, doubtful integer, touched integer, findings jsonb, sources jsonb,
               agreed text[], revised integer, changed_at timestamptz, closed integer)
LANGUAGE sql STABLE ROWS 10000
BEGIN ATOMIC
    SELECT w.symbol, w.series_id, w.timeframe, w.step_ms, d.day_ms, d.day_ms, d.day_ms + w.bucket_ms, w.bucket_bars - d.closed,
           d.held, d.stand_in, d.proved_absent, d.reported_absent, d.refused, d.lost, d.doubtful, d.touched,
           d.findings, d.sources, d.agreed, d.revised, d.changed_at, d.closed
    FROM day_windows_at(at, days_at.settle_ms, from_ms, to_ms) AS w
    JOIN series_days AS d ON d.series_id = w.series_id AND d.day_ms >= w.start_ms AND d.day_ms <= w.end_ms - w.bucket_ms
    WHERE d.believed_until > at AND (w.changed IS NULL OR NOT w.changed && int8range(d.day_ms, d.day_ms + w.bucket_ms))
    UNION ALL
    SELECT w.symbol, w.series_id, w.timeframe, w.step_ms, day.day_ms, day.first_ms, day.past_ms,
           ((day.past_ms - day.first_ms) / w.step_ms)::integer - x.closed,
           x.held, x.stand_in, x.proved_absent, x.reported_absent, x.refused, x.lost, x.doubtful, x.touched,
           CASE WHEN day.is_changed THEN e.findings ELSE d.findings END, CASE WHEN day.is_changed THEN e.sources ELSE d.sources END,
           CASE WHEN day.is_changed THEN e.agreed ELSE d.agreed END, coalesce(e.revised, d.revised, 0),
           CASE WHEN day.is_changed THEN w.changed_at ELSE d.changed_at END, x.closed
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
    SELECT w.symbol, w.series_id, w.timeframe, w.step_ms, day.day_ms, day.day_ms, day.day_ms + w.bucket_ms, w.bucket_bars - rest.closed,
           0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, 0, NULL, rest.closed
    FROM day_windows_at(at, days_at.settle_ms, from_ms, to_ms) AS w
    LEFT JOIN gaps_at(at, days_at.settle_ms, from_ms, to_ms) AS g ON g.series_id = w.series_id
    CROSS JOIN LATERAL (
        SELECT DISTINCT gap_day.day_ms FROM unnest(coalesce(g.gaps, '{}') + w.closed) AS span
        CROSS JOIN LATERAL generate_series(grid_floor(lower(span), w.bucket_ms, w.anchor), upper(span) - 1,
                                           w.bucket_ms) AS gap_day (day_ms)
    ) AS day
    CROSS JOIN LATERAL (
        SELECT CASE WHEN isempty(w.closed) THEN 0
                    ELSE covered_ms(w.closed * int8multirange(int8range(day.day_ms, day.day_ms + w.bucket_ms))) / w.step_ms
               END::integer AS closed
    ) AS rest
    WHERE (g.series_id IS NOT NULL OR NOT isempty(w.closed)) AND day.day_ms >= w.start_ms AND day.day_ms + w.bucket_ms <= w.end_ms
      AND (w.changed IS NULL OR NOT w.changed && int8range(day.day_ms, day.day_ms + w.bucket_ms))
      AND NOT EXISTS (SELECT FROM series_days AS d WHERE d.series_id = w.series_id AND d.day_ms = day.day_ms);
END;

CREATE FUNCTION conditions_at(at timestamptz, settle_ms bigint DEFAULT 0, from_ms bigint DEFAULT NULL,
                              to_ms bigint DEFAULT NULL)
RETURNS TABLE (symbol text, timeframe text, day date, condition text, expected integer, held integer, stand_in integer,
               proved_absent integer, reported_absent integer, refused integer, doubtful integer, missing integer,
               findings jsonb, sources jsonb, agreed text[], changed_at timestamptz, leaves_reach_at timestamptz,
               reason text, would_change text, closed integer)
LANGUAGE sql STABLE ROWS 10000
BEGIN ATOMIC
    SELECT n.symbol, n.timeframe, date '1970-01-01' + (n.day_ms / 86400000)::integer,
           CASE WHEN n.unobtainable > 0 THEN 'missing'
                WHEN n.missing > n.doubtful THEN 'pending'
                WHEN n.doubtful + n.refused + n.touched > 0 OR n.findings IS NOT NULL THEN 'doubtful'
                WHEN n.stand_in > 0 THEN 'degraded'
                WHEN n.revised > 0 THEN 'repaired'
                WHEN n.bars = 0 THEN 'closed'
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
               CASE WHEN n.proved_absent > 0 THEN n.proved_absent || ' bars proved to have had no trade' END,
               CASE WHEN n.bars = 0 THEN 'the market is closed'
                    WHEN n.closed > 0 THEN n.closed || ' bars lie outside the market''s hours' END), '') END,
           CASE WHEN n.has_story THEN nullif(concat_ws('; ',
               CASE WHEN n.unobtainable > 0 THEN 'another source for the series, or `backfill correct`' END,
               CASE WHEN n.missing > n.unobtainable THEN 'the next fill' END,
               CASE WHEN n.refused > 0 THEN '`backfill quarantine`, or a later answer of the source' END,
               CASE WHEN n.touched > 0 THEN 'the next validation, which reads them again' END,
               CASE WHEN n.findings IS NOT NULL THEN 'the next validation, or `backfill findings dismiss`' END,
               CASE WHEN n.stand_in > 0 THEN 'the primary source''s own bars' END), '') END,
           n.closed
    FROM (
        SELECT m.*, m.lost + m.gone AS unobtainable, m.bars > m.held OR m.findings IS NOT NULL
               OR m.stand_in + m.revised + m.touched > 0 OR m.closed > 0 AS has_story
        FROM (
            SELECT k.symbol, k.timeframe, k.day_ms, k.bars, k.findings, k.sources, k.agreed, k.changed_at,
                   k.revised, k.closed, k.held, k.stand_in, k.proved_absent, k.reported_absent, k.refused, k.lost, k.doubtful, k.touched,
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
COMMENT ON VIEW conditions IS 'May I use this day? One row a wanted series and day of its window (a week for 1w), counts in bars that open in it. available: whole, of the primary source; repaired: whole, some bars were replaced; degraded: whole, other sources stand in; closed: the market is closed all day; doubtful: a finding is open, or bars are silent, refused or changed by another writer; pending: something is left to ask; missing: no source can give it. expected: without the bars established as absent, or closed; missing: of these, neither held nor refused. would_change: what can change the condition. leaves_reach_at: when the first missing bar leaves every source''s reach, if within 48 hours.';

-- Another calendar, or other hours of it, move what its days lack: those that were counted are counted again.
CREATE FUNCTION note_hours(of_series integer, these int8multirange) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = backfill, pg_temp
BEGIN ATOMIC
    SELECT note_change(of_series, these * int8multirange(counted.span))
    FROM (SELECT int8range(min(d.day_ms), max(d.day_ms) + 604800000) AS span
          FROM series_days AS d WHERE d.series_id = of_series HAVING count(*) > 0) AS counted;
END;

CREATE FUNCTION note_other_hours() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = backfill, pg_temp AS $$
BEGIN
    PERFORM note_hours(s.id, (OLD.closed - NEW.closed) + (NEW.closed - OLD.closed))
    FROM series AS s WHERE s.calendar = NEW.calendar AND s.timeframe = NEW.timeframe;
    RETURN NULL;
END
$$;
CREATE TRIGGER note_change AFTER UPDATE ON closures
FOR EACH ROW WHEN (OLD.closed IS DISTINCT FROM NEW.closed) EXECUTE FUNCTION note_other_hours();

CREATE FUNCTION note_other_calendar() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = backfill, pg_temp AS $$
BEGIN
    PERFORM note_hours(NEW.id, closed_of(OLD.calendar, OLD.timeframe) + closed_of(NEW.calendar, NEW.timeframe));
    RETURN NULL;
END
$$;
CREATE TRIGGER note_other_calendar AFTER UPDATE OF calendar ON series
FOR EACH ROW WHEN (OLD.calendar IS DISTINCT FROM NEW.calendar) EXECUTE FUNCTION note_other_calendar();

-- Funding is a series of events, not of bars: the exchange moves its interval.
CREATE TABLE funding_rates (
    instrument_id integer NOT NULL REFERENCES instruments (id),
    source_id     smallint NOT NULL REFERENCES sources (id),
    funding_time  timestamptz NOT NULL,
    rate          double precision NOT NULL,
    stored_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instrument_id, source_id, funding_time)
);
COMMENT ON TABLE funding_rates IS 'Funding payments of perpetuals, as each source lists them.';

CREATE TABLE funding_spans (
    instrument_id integer NOT NULL REFERENCES instruments (id),
    source_id     smallint NOT NULL REFERENCES sources (id),
    whole         int8multirange NOT NULL,
    PRIMARY KEY (instrument_id, source_id)
);
COMMENT ON TABLE funding_spans IS 'Between which moments the source has listed every payment. What is left of a window is asked for.';

CREATE VIEW funding AS
SELECT i.symbol, f.funding_time, f.rate, src.name AS source,
       CASE WHEN w.whole @> int8range(epoch_ms(p.before), epoch_ms(f.funding_time)) THEN f.funding_time - p.before END AS interval
FROM funding_rates AS f
JOIN instruments AS i ON i.id = f.instrument_id
JOIN sources AS src ON src.id = f.source_id
LEFT JOIN funding_spans AS w ON w.instrument_id = f.instrument_id AND w.source_id = f.source_id
LEFT JOIN LATERAL (
    SELECT max(e.funding_time) AS before FROM funding_rates AS e
    WHERE e.instrument_id = f.instrument_id AND e.source_id = f.source_id AND e.funding_time < f.funding_time
) AS p ON true;
COMMENT ON VIEW funding IS 'Funding payments. interval: since the one before; NULL where one between them may be missing.';
