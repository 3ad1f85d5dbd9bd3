-- The wish list: its series are wanted as it says, the dropped ones no longer are. Every instrument has a row by now
-- (name_instruments). Rows that already say so are left alone: not written, not locked, no number used up.
WITH wish AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(wishes)s::jsonb) AS w (
        symbol text, timeframe text, history_ms bigint, since timestamptz, until timestamptz, retention_ms bigint,
        source_ids smallint[], spot_proxy boolean, objective_pct double precision, roll_up boolean,
        ready_bars integer, calendar text, splits text)
), dropped AS (
    UPDATE series AS s SET wanted = false
    FROM instruments AS i
    WHERE i.id = s.instrument_id AND s.wanted
      AND EXISTS (SELECT FROM jsonb_to_recordset(%(dropped)s::jsonb) AS d (symbol text, timeframe text)
                  WHERE d.symbol = i.symbol AND d.timeframe = s.timeframe)
)
INSERT INTO series (instrument_id, timeframe, wanted, history_ms, since, until, retention_ms, source_ids, spot_proxy,
                    objective_pct, roll_up, ready_bars, calendar, splits)
SELECT i.id, w.timeframe, true, w.history_ms, w.since, w.until, w.retention_ms, w.source_ids, w.spot_proxy,
       w.objective_pct, w.roll_up, w.ready_bars, w.calendar, w.splits
FROM wish AS w
JOIN instruments AS i USING (symbol)
LEFT JOIN series AS s ON s.instrument_id = i.id AND s.timeframe = w.timeframe
WHERE (s.wanted, s.history_ms, s.since, s.until, s.retention_ms, s.source_ids, s.spot_proxy,
       s.objective_pct, s.roll_up, s.ready_bars, s.calendar, s.splits) IS DISTINCT FROM
      (true, w.history_ms, w.since, w.until, w.retention_ms, w.source_ids, w.spot_proxy, w.objective_pct, w.roll_up,
       w.ready_bars, w.calendar, w.splits)
ORDER BY i.id, w.timeframe
ON CONFLICT (instrument_id, timeframe) DO UPDATE
SET wanted = true, history_ms = excluded.history_ms, since = excluded.since, until = excluded.until,
    retention_ms = excluded.retention_ms, source_ids = excluded.source_ids, spot_proxy = excluded.spot_proxy,
    objective_pct = excluded.objective_pct, roll_up = excluded.roll_up,
    ready_bars = excluded.ready_bars, calendar = excluded.calendar, splits = excluded.splits
