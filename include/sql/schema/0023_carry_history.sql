-- Candles of a former name that were carried over into the new one's series (docs/decisions/0040-history-over-a-rename.md).
CREATE TABLE carried (
    series_id      integer NOT NULL REFERENCES series (id),
    from_series_id integer NOT NULL REFERENCES series (id),
    bars           int8multirange NOT NULL,
    price_divisor  double precision NOT NULL CHECK (price_divisor > 0),
    proved_by      text NOT NULL,
    common_bars    integer NOT NULL,
    agreeing_bars  integer NOT NULL,
    carried_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (series_id, from_series_id)
);
COMMENT ON TABLE carried IS 'Which bars of a series come from a former name''s series, and the overlap that proved both to be one instrument.';
COMMENT ON COLUMN carried.bars IS 'As they were carried, [ms, ms): a source may have replaced them since, or a retention removed them.';
COMMENT ON COLUMN carried.price_divisor IS 'Prices were divided by it, volumes multiplied: 1000 from 1000BONK to BONK.';
COMMENT ON COLUMN carried.proved_by IS 'The timeframe whose bars were compared, and the source, where no bar is held under both names.';

ALTER TABLE instrument_log DROP CONSTRAINT instrument_log_what_check;
ALTER TABLE instrument_log ADD CONSTRAINT instrument_log_what_check CHECK (what IN (
    'listed', 'delisted', 'relisted', 'renamed', 'contract_value_changed', 'tick_size_changed', 'state_changed',
    'list_time_changed', 'expire_time_changed', 'source_changed', 'name_reused', 'split', 'history_carried'));
COMMENT ON COLUMN instrument_log.what IS 'listed: its list names it for the first time that we see; delisted: no longer; renamed: new is another instrument, the same coin at another scale, listed as this one went; name_reused: the name is another listing''s now, what it was before is kept as old, and new says what shows it; split: new says how many new shares came for old ones, and when; history_carried: the candles of the former name, old, are this one''s too, and new says what proved it.';

-- As in 0019. History that was carried over begins before the listing of the new name, and is of the window.
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
                        CASE WHEN e.describes
                             THEN least(grid_floor(epoch_ms(i.list_time), s.step_ms, s.anchor_ms),
                                        (SELECT min(lower(c.bars)) FROM carried AS c WHERE c.series_id = s.id)) END
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
