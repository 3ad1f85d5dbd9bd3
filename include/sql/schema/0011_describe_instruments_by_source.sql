-- Any source can be the primary of a series: its list describes the instrument and bounds the window.

ALTER TABLE instruments ADD COLUMN described_by smallint REFERENCES sources (id);
COMMENT ON COLUMN instruments.described_by IS 'Whose list describes the instrument: the primary source of its finest series. NULL: none has yet.';
COMMENT ON COLUMN instruments.symbol IS 'The name we keep it by, Blofin''s where Blofin lists it: BTC-USDT is the USDT-margined linear perpetual, not spot.';
COMMENT ON COLUMN instruments.list_time IS 'The earliest listing time the describing source ever gave: a hint, not on the grid.';
COMMENT ON COLUMN instruments.list_time_told IS 'The listing time that the describing source gave last.';
COMMENT ON COLUMN instruments.last_listed_at IS 'When the describing source''s list named it last; while its state is `unlisted`, windows end here, or after its last candle. NULL: never.';
COMMENT ON COLUMN instruments.refreshed_at IS 'When a source last described the instrument; NULL: none has yet.';
UPDATE instruments SET described_by = (SELECT id FROM sources WHERE name = 'blofin') WHERE refreshed_at IS NOT NULL;

-- The describing source is no fact of the instrument: when another one takes over, what differs is no change of terms.
ALTER TABLE instrument_log DROP CONSTRAINT instrument_log_what_check;
ALTER TABLE instrument_log ADD CONSTRAINT instrument_log_what_check CHECK (what IN (
    'listed', 'delisted', 'relisted', 'renamed', 'contract_value_changed', 'tick_size_changed', 'state_changed',
    'list_time_changed', 'expire_time_changed', 'source_changed'));
CREATE OR REPLACE FUNCTION log_instrument() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = backfill, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    was instruments;
BEGIN
    IF NEW.last_listed_at IS NULL THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        was := OLD;
    END IF;
    IF was.last_listed_at IS NULL THEN
        INSERT INTO instrument_log (instrument_id, instrument, what, new) VALUES (NEW.id, NEW.symbol, 'listed', NEW.state);
        RETURN NULL;
    END IF;
    IF was.described_by IS DISTINCT FROM NEW.described_by AND was.described_by IS NOT NULL THEN
        INSERT INTO instrument_log (instrument_id, instrument, what, old, new)
        SELECT NEW.id, NEW.symbol, 'source_changed', (SELECT name FROM sources WHERE id = was.described_by),
               (SELECT name FROM sources WHERE id = NEW.described_by);
        RETURN NULL;
    END IF;
    INSERT INTO instrument_log (instrument_id, instrument, what, old, new)
    SELECT NEW.id, NEW.symbol, c.what, c.old, c.new
    FROM (VALUES
        (CASE WHEN NEW.state = 'unlisted' THEN 'delisted' WHEN was.state = 'unlisted' THEN 'relisted'
              ELSE 'state_changed' END, was.state, NEW.state),
        ('contract_value_changed', was.contract_value::text, NEW.contract_value::text),
        ('tick_size_changed', was.tick_size::text, NEW.tick_size::text),
        ('list_time_changed', was.list_time_told::text, NEW.list_time_told::text),
        ('expire_time_changed', was.expire_time::text, NEW.expire_time::text)
    ) AS c (what, old, new)
    WHERE c.old IS DISTINCT FROM c.new;
    RETURN NULL;
END
$$;

-- The window of every wanted series as of a moment; the listing bounds it where its primary source describes the
-- instrument.
CREATE OR REPLACE FUNCTION windows_at(at timestamptz, settle_ms bigint DEFAULT 0, from_ms bigint DEFAULT NULL,
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
