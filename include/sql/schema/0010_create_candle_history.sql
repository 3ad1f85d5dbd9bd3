-- What a bar was before, for people: every self of every bar that was ever revised.

CREATE INDEX quarantine_of_a_candle ON quarantine (series_id, open_time);

-- A self is what a revision has replaced, and at last the candle itself. A revision says what the candle became, too: where
-- that is neither what the next revision has replaced nor the candle, somebody has changed or removed it without telling,
-- and it is a self of its own. All of it is LATERAL to the series, so that a bar's history comes from the indexes.
CREATE VIEW candle_history AS
SELECT i.symbol, s.timeframe, h.open_time, h.version, h.open, h.high, h.low, h.close, h.volume, h.quote_volume,
       src.name AS source, h.reason, h.replaced_at, h.is_current, h.note, h.fill_run_id
FROM instruments AS i
JOIN series AS s ON s.instrument_id = i.id
CROSS JOIN LATERAL (
    SELECT self.*, row_number() OVER (PARTITION BY self.open_time ORDER BY self.revision_id, self.part) AS version
    FROM (
        SELECT r.open_time, r.id AS revision_id, 1 AS part, r.open, r.high, r.low, r.close, r.volume, r.quote_volume,
               r.source_id, r.reason, r.revised_at AS replaced_at, false AS is_current, r.note, r.fill_run_id
        FROM revisions AS r
        WHERE r.series_id = s.id
        UNION ALL
        SELECT r.open_time, r.id, 2, r.new_open, r.new_high, r.new_low, r.new_close, r.new_volume, r.new_quote_volume,
               r.new_source_id, CASE WHEN next.place IS NULL THEN 'removed' ELSE 'unrecorded' END, NULL, false, NULL, NULL
        FROM revisions AS r
        LEFT JOIN LATERAL (
            SELECT n.id AS place, n.open, n.high, n.low, n.close, n.volume, n.quote_volume, n.source_id
            FROM revisions AS n WHERE n.series_id = s.id AND n.open_time = r.open_time AND n.id > r.id
            UNION ALL
            SELECT 9223372036854775807, c.open, c.high, c.low, c.close, c.volume, c.quote_volume, c.source_id
            FROM candles AS c WHERE c.series_id = s.id AND c.open_time = r.open_time
            ORDER BY place LIMIT 1
        ) AS next ON true
        WHERE r.series_id = s.id
          AND (r.new_open, r.new_high, r.new_low, r.new_close, r.new_volume, r.new_quote_volume, r.new_source_id)
              IS DISTINCT FROM
              (next.open, next.high, next.low, next.close, next.volume, next.quote_volume, next.source_id)
        UNION ALL
        SELECT c.open_time, 9223372036854775807, 1, c.open, c.high, c.low, c.close, c.volume, c.quote_volume, c.source_id,
               NULL, NULL, true, NULL, NULL
        FROM candles AS c
        WHERE c.series_id = s.id
          AND EXISTS (SELECT FROM revisions AS r WHERE r.series_id = s.id AND r.open_time = c.open_time)
    ) AS self
) AS h
LEFT JOIN sources AS src ON src.id = h.source_id;
COMMENT ON VIEW candle_history IS 'Every self of every bar that was ever revised, version 1 the oldest. reason: why it was replaced, as in revisions; unrecorded, removed: without a revision; NULL: it was not, it is the candle.';
