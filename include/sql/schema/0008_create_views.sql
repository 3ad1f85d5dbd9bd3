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
-- The listing is Blofin's: it bounds the series whose home Blofin is. What Blofin no longer lists ended when it was
-- last seen, by its name in the list or by a candle. declared_ms: where the window would start if the listing did not bound it. Empty windows are left out.
CREATE FUNCTION windows_at(at timestamptz, settle_ms bigint DEFAULT 0, from_ms bigint DEFAULT NULL,
                           to_ms bigint DEFAULT NULL)
RETURNS TABLE (series_id integer, instrument_id integer, timeframe text, step_ms bigint, source_ids smallint[],
               held int8multirange, no_trade int8multirange, lost int8multirange, start_ms bigint, end_ms bigint,
               declared_ms bigint, history_ms bigint, ready_bars integer)
LANGUAGE sql STABLE ROWS 1000
BEGIN ATOMIC
    SELECT w.id, w.instrument_id, w.timeframe, w.step_ms, w.source_ids, w.held, w.no_trade, w.lost, w.start_ms, w.end_ms,
           w.declared_ms, w.history_ms, w.ready_bars
    FROM (
        SELECT s.*, e.declared_ms,
               grid_floor(least(e.last_closed_ms, windows_at.to_ms), s.step_ms, s.anchor_ms) AS end_ms,
               greatest(e.declared_ms,
                        CASE WHEN e.is_at_home THEN grid_floor(epoch_ms(i.list_time), s.step_ms, s.anchor_ms) END
               ) AS start_ms
        FROM series AS s
        JOIN instruments AS i ON i.id = s.instrument_id
        CROSS JOIN LATERAL (
            SELECT c.last_closed_ms, c.is_at_home,
                   greatest(
                       grid_ceil(coalesce(windows_at.from_ms, greatest(c.last_closed_ms - s.history_ms, epoch_ms(s.since))),
                                 s.step_ms, s.anchor_ms),
                       grid_ceil(c.last_closed_ms - s.retention_ms, s.step_ms, s.anchor_ms)
                   ) AS declared_ms
            FROM (
                SELECT grid_floor(
                           CASE WHEN h.is_at_home
                                THEN least(epoch_ms(at) - windows_at.settle_ms, epoch_ms(s.until), epoch_ms(i.expire_time),
                                           CASE WHEN i.state = 'unlisted' AND i.last_listed_at IS NOT NULL
                                                THEN greatest(epoch_ms(i.last_listed_at), upper(s.held - s.stand_in)) END)
                                ELSE least(epoch_ms(at) - windows_at.settle_ms, epoch_ms(s.until)) END,
                           s.step_ms, s.anchor_ms) AS last_closed_ms, h.is_at_home
                FROM (VALUES (s.source_ids[1] = (SELECT id FROM sources WHERE name = 'blofin'))) AS h (is_at_home)
                OFFSET 0
            ) AS c
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

-- The state of every wanted series as of a moment, read from the ledger alone.
--
-- insufficient_history: whole, but because the instrument is young its history is shorter than the declared length, or
-- than the bars that make it ready. It is young when its listing bounds the window, or when everything before its first
-- bar, a day at least, is established as absent. (`since` declares no length: whole from the listing on is complete.)
--
-- bars_ready: the bars held after the newest hole. An established absence is neither a hole nor a bar.
CREATE FUNCTION sync_status_at(at timestamptz, settle_ms bigint DEFAULT 0)
RETURNS TABLE (symbol text, timeframe text, status text, oldest_data timestamptz, newest_data timestamptz,
               total_candles bigint, expected_candles bigint, coverage_pct double precision,
               last_sync timestamptz, error_message text, missing_candles bigint, absent_candles bigint,
               ready boolean, bars_ready bigint, bars_needed bigint)
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
           n.ready >= need.bars, n.ready, need.bars
    FROM windows_at(at, settle_ms) AS w
    JOIN instruments AS i ON i.id = w.instrument_id
    CROSS JOIN LATERAL (
        SELECT int8multirange(int8range(w.start_ms, w.end_ms)) AS span, said.absent + w.no_trade - w.lost AS absent
        FROM absent_everywhere(w.series_id, w.source_ids, at) AS said
        OFFSET 0
    ) AS a
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
       last_sync, error_message, ready, bars_ready
FROM sync_status_at(now());
COMMENT ON VIEW sync_status IS 'Each wanted series now. expected_candles: the bars of its window without the established no-trade bars. ready: so many bars as the universe asks for are there without a hole, up to the last closed one; bars_ready: how many.';
