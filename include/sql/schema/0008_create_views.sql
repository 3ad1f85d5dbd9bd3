-- What people read.

CREATE VIEW ohlcv AS
SELECT i.symbol, s.timeframe, c.open_time, c.open, c.high, c.low, c.close, c.volume, c.quote_volume,
       src.name AS source
FROM candles AS c
JOIN series AS s ON s.id = c.series_id
JOIN instruments AS i ON i.id = s.instrument_id
JOIN sources AS src ON src.id = c.source_id;

-- The window of each wanted series as of a moment, in ms: from the declared start, the listing or the retention,
-- whichever is latest, to the end of the last bar that had closed settle_ms before. A caller's own [from_ms, to_ms)
-- replaces the declared start and may end earlier; listing, retention and the last closed bar still bound it.
-- Empty windows are left out.
CREATE FUNCTION windows_at(at timestamptz, settle_ms bigint DEFAULT 0, from_ms bigint DEFAULT NULL,
                           to_ms bigint DEFAULT NULL)
RETURNS TABLE (series_id integer, instrument_id integer, timeframe text, step_ms bigint, source_ids smallint[],
               held int8multirange, no_trade int8multirange, lost int8multirange, start_ms bigint, end_ms bigint)
LANGUAGE sql STABLE ROWS 1000
BEGIN ATOMIC
    SELECT w.id, w.instrument_id, w.timeframe, w.step_ms, w.source_ids, w.held, w.no_trade, w.lost, w.start_ms, w.end_ms
    FROM (
        SELECT s.*,
               grid_floor(least(e.last_closed_ms, windows_at.to_ms), s.step_ms, s.anchor_ms) AS end_ms,
               greatest(
                   grid_ceil(coalesce(windows_at.from_ms,
                                      greatest(e.last_closed_ms - s.history_ms, epoch_ms(s.since))),
                             s.step_ms, s.anchor_ms),
                   grid_ceil(e.last_closed_ms - s.retention_ms, s.step_ms, s.anchor_ms),
                   grid_floor(epoch_ms(i.list_time), s.step_ms, s.anchor_ms)
               ) AS start_ms
        FROM series AS s
        JOIN instruments AS i ON i.id = s.instrument_id
        CROSS JOIN LATERAL (
            SELECT grid_floor(
                least(epoch_ms(at) - windows_at.settle_ms, epoch_ms(s.until), epoch_ms(i.expire_time)),
                s.step_ms, s.anchor_ms) AS last_closed_ms
            OFFSET 0
        ) AS e
        WHERE s.wanted
    ) AS w
    WHERE w.start_ms < w.end_ms;
END;

-- What is left to try of each of these windows: window - held - (absent at every source that may be asked, or proved to
-- have had no trade, and not proved to be lost). Whole windows are left out. OFFSET 0 keeps the planner from writing the gaps out, and working them out, at each mention.
CREATE FUNCTION gaps_at(at timestamptz, settle_ms bigint DEFAULT 0, from_ms bigint DEFAULT NULL,
                        to_ms bigint DEFAULT NULL)
RETURNS TABLE (series_id integer, instrument_id integer, timeframe text, step_ms bigint, gaps int8multirange)
LANGUAGE sql STABLE ROWS 1000
BEGIN ATOMIC
    SELECT w.series_id, w.instrument_id, w.timeframe, w.step_ms, left_over.gaps
    FROM windows_at(at, settle_ms, from_ms, to_ms) AS w
    CROSS JOIN LATERAL (
        SELECT CASE WHEN int8range(w.start_ms, w.end_ms) <@ w.held THEN '{}'
                    ELSE int8multirange(int8range(w.start_ms, w.end_ms)) - w.held
                       - ((SELECT absent FROM absent_everywhere(w.series_id, w.source_ids, at)) + w.no_trade - w.lost)
                    END AS gaps
        OFFSET 0
    ) AS left_over
    WHERE NOT isempty(left_over.gaps);
END;

-- What of these windows others stand in for, and the home has not denied: to be asked of it again.
CREATE FUNCTION restorable_at(at timestamptz, settle_ms bigint DEFAULT 0, from_ms bigint DEFAULT NULL,
                              to_ms bigint DEFAULT NULL)
RETURNS TABLE (series_id integer, instrument_id integer, timeframe text, step_ms bigint, restorable int8multirange)
LANGUAGE sql STABLE ROWS 100
BEGIN ATOMIC
    SELECT w.series_id, w.instrument_id, w.timeframe, w.step_ms, stood_in.restorable
    FROM windows_at(at, settle_ms, from_ms, to_ms) AS w
    JOIN series AS s ON s.id = w.series_id AND s.stand_in <> '{}'
    CROSS JOIN LATERAL (
        SELECT int8multirange(int8range(w.start_ms, w.end_ms)) * s.stand_in - coalesce((
            SELECT range_agg(a.absent) FROM absences AS a
            WHERE a.series_id = s.id AND a.source_id = s.source_ids[1] AND a.expires_at > at), '{}') AS restorable
        OFFSET 0
    ) AS stood_in
    WHERE NOT isempty(stood_in.restorable);
END;

CREATE VIEW gaps AS
SELECT i.symbol, g.timeframe, from_epoch_ms(lower(gap)) AS gap_start, from_epoch_ms(upper(gap)) AS gap_end,
       (upper(gap) - lower(gap)) / g.step_ms AS missing_candles
FROM gaps_at(now()) AS g
JOIN instruments AS i ON i.id = g.instrument_id
CROSS JOIN LATERAL unnest(g.gaps) AS gap;
COMMENT ON VIEW gaps IS 'What is left to try now: window - held - (absent at every source that may be asked, or proved to have had no trade).';

-- The state of every wanted series as of a moment.
CREATE FUNCTION sync_status_at(at timestamptz, settle_ms bigint DEFAULT 0)
RETURNS TABLE (symbol text, timeframe text, status text, oldest_data timestamptz, newest_data timestamptz,
               total_candles bigint, expected_candles bigint, coverage_pct double precision,
               last_sync timestamptz, error_message text, missing_candles bigint, absent_candles bigint)
LANGUAGE sql STABLE ROWS 1000
BEGIN ATOMIC
    SELECT i.symbol, w.timeframe,
           CASE WHEN last_run.status = 'running' THEN 'syncing'
                WHEN n.missing = 0 THEN 'complete'
                WHEN last_run.status = 'failed' THEN 'error'
                WHEN w.held = '{}' THEN 'pending'
                ELSE 'gaps' END,
           from_epoch_ms(lower(w.held)),
           from_epoch_ms(upper(w.held) - w.step_ms),
           covered_ms(w.held) / w.step_ms,
           n.held + n.missing,
           CASE WHEN n.held + n.missing = 0 THEN 100 ELSE 100.0 * n.held / (n.held + n.missing) END,
           last_run.finished_at, last_run.error, n.missing, n.absent
    FROM windows_at(at, settle_ms) AS w
    JOIN instruments AS i ON i.id = w.instrument_id
    CROSS JOIN LATERAL (
        SELECT int8multirange(int8range(w.start_ms, w.end_ms)) AS span, said.absent + w.no_trade - w.lost AS absent
        FROM absent_everywhere(w.series_id, w.source_ids, at) AS said
    ) AS a
    CROSS JOIN LATERAL (
        SELECT covered_ms(a.span * w.held) / w.step_ms AS held,
               covered_ms(a.span - w.held - a.absent) / w.step_ms AS missing,
               covered_ms((a.span * a.absent) - w.held) / w.step_ms AS absent
        OFFSET 0
    ) AS n
    LEFT JOIN LATERAL (
        SELECT r.status, r.finished_at, r.error FROM gap_fill_runs AS r
        WHERE r.series_id = w.series_id ORDER BY r.started_at DESC LIMIT 1
    ) AS last_run ON true;
END;

CREATE VIEW sync_status AS
SELECT symbol, timeframe, status, oldest_data, newest_data, total_candles, expected_candles, coverage_pct,
       last_sync, error_message
FROM sync_status_at(now());
COMMENT ON VIEW sync_status IS 'Each wanted series now. expected_candles: the bars of its window without the established no-trade bars.';
