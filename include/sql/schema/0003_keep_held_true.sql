-- `series.held` follows `candles` for every writer: ours, a live ingester, a person with psql.
--
-- Statement triggers with transition tables: one UPDATE a statement, however many rows. They stand on the
-- parent and on every partition, because a statement fires only the triggers of the table it names. Our own
-- page writer sets `backfill.ledger` to 'writer' for its transaction and keeps the ledger itself: it must,
-- since ON CONFLICT rows never reach a transition table.
--
-- They run as the schema's owner, so that whoever may write candles needs no right on the ledger.
--
-- An open time off the grid covers no bar, so it is not held; the audit names it.

CREATE FUNCTION add_to_held() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = backfill, pg_temp AS $$
BEGIN
    PERFORM FROM series WHERE id IN (SELECT DISTINCT series_id FROM added) ORDER BY id FOR UPDATE;
    UPDATE series AS s
    SET held = s.held + stored.intervals, stand_in = s.stand_in + coalesce(stored.stand_ins, '{}')
    FROM (
        SELECT a.series_id,
               range_agg(int8range(epoch_ms(a.open_time), epoch_ms(a.open_time) + one.step_ms)) AS intervals,
               range_agg(int8range(epoch_ms(a.open_time), epoch_ms(a.open_time) + one.step_ms))
                   FILTER (WHERE a.source_id = ANY (one.source_ids[2:])) AS stand_ins
        FROM added AS a JOIN series AS one ON one.id = a.series_id
        WHERE (epoch_ms(a.open_time) - one.anchor_ms) % one.step_ms = 0
        GROUP BY a.series_id
    ) AS stored
    WHERE s.id = stored.series_id;
    RETURN NULL;
END
$$;

CREATE FUNCTION remove_from_held() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = backfill, pg_temp AS $$
BEGIN
    PERFORM FROM series WHERE id IN (SELECT DISTINCT series_id FROM removed) ORDER BY id FOR UPDATE;
    UPDATE series AS s
    SET held = s.held - gone.intervals, stand_in = s.stand_in - gone.intervals, settled = s.settled - gone.intervals
    FROM (
        SELECT r.series_id,
               range_agg(int8range(epoch_ms(r.open_time), epoch_ms(r.open_time) + one.step_ms)) AS intervals
        FROM removed AS r JOIN series AS one ON one.id = r.series_id
        WHERE (epoch_ms(r.open_time) - one.anchor_ms) % one.step_ms = 0
        GROUP BY r.series_id
    ) AS gone
    WHERE s.id = gone.series_id;
    RETURN NULL;
END
$$;

-- A changed price moves nothing; a changed key is a removal and an addition, and so is a changed source.
CREATE FUNCTION move_in_held() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = backfill, pg_temp AS $$
BEGIN
    PERFORM FROM series
    WHERE id IN (SELECT series_id FROM removed UNION SELECT series_id FROM added) ORDER BY id FOR UPDATE;
    UPDATE series AS s
    SET held = s.held - coalesce(moved.gone, '{}') + coalesce(moved.stored, '{}'),
        stand_in = s.stand_in - coalesce(moved.gone, '{}') + coalesce(moved.stand_ins, '{}'),
        settled = s.settled - coalesce(moved.gone, '{}')
    FROM (
        SELECT one.id,
               range_agg(int8range(epoch_ms(k.open_time), epoch_ms(k.open_time) + one.step_ms))
                   FILTER (WHERE NOT k.is_new) AS gone,
               range_agg(int8range(epoch_ms(k.open_time), epoch_ms(k.open_time) + one.step_ms))
                   FILTER (WHERE k.is_new) AS stored,
               range_agg(int8range(epoch_ms(k.open_time), epoch_ms(k.open_time) + one.step_ms))
                   FILTER (WHERE k.is_new AND k.source_id = ANY (one.source_ids[2:])) AS stand_ins
        FROM (
            (SELECT series_id, open_time, source_id, false AS is_new FROM removed
             EXCEPT SELECT series_id, open_time, source_id, false FROM added)
            UNION ALL
            (SELECT series_id, open_time, source_id, true FROM added
             EXCEPT SELECT series_id, open_time, source_id, true FROM removed)
        ) AS k JOIN series AS one ON one.id = k.series_id
        WHERE (epoch_ms(k.open_time) - one.anchor_ms) % one.step_ms = 0
        GROUP BY one.id
    ) AS moved
    WHERE s.id = moved.id;
    RETURN NULL;
END
$$;

-- Another order of sources makes stand-ins of other bars: what a new home may now replace is counted anew. What the old
-- home's bars have proved does not hold for a new one.
-- (In a BEFORE trigger NEW has no generated columns yet.)
CREATE FUNCTION recount_stand_in() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = backfill, pg_temp AS $$
BEGIN
    NEW.stand_in := coalesce((
        SELECT range_agg(int8range(epoch_ms(c.open_time), epoch_ms(c.open_time) + OLD.step_ms))
        FROM candles AS c
        WHERE c.series_id = NEW.id AND c.source_id = ANY (NEW.source_ids[2:])
          AND (epoch_ms(c.open_time) - OLD.anchor_ms) % OLD.step_ms = 0), '{}');
    IF OLD.source_ids[1] IS DISTINCT FROM NEW.source_ids[1] THEN
        NEW.settled := '{}';
        NEW.no_trade := '{}';
        NEW.lost := '{}';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER recount_stand_in BEFORE UPDATE OF source_ids ON series
FOR EACH ROW WHEN (OLD.source_ids IS DISTINCT FROM NEW.source_ids AND OLD.held <> '{}')
EXECUTE FUNCTION recount_stand_in();

-- TRUNCATE names no rows: a monthly partition (arguments: its bounds) gives up its month, the parent everything,
-- the default partition whatever no other partition holds.
CREATE FUNCTION empty_held() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = backfill, pg_temp AS $$
BEGIN
    IF TG_NARGS = 2 THEN
        UPDATE series
        SET held = held - int8multirange(int8range(
                grid_ceil(epoch_ms(TG_ARGV[0]::timestamptz), step_ms, anchor_ms),
                grid_ceil(epoch_ms(TG_ARGV[1]::timestamptz), step_ms, anchor_ms)))
        WHERE held <> '{}';
    ELSE
        UPDATE series AS s
        SET held = coalesce((
            SELECT range_agg(int8range(epoch_ms(c.open_time), epoch_ms(c.open_time) + s.step_ms))
            FROM candles AS c
            WHERE c.series_id = s.id AND (epoch_ms(c.open_time) - s.anchor_ms) % s.step_ms = 0), '{}')
        WHERE held <> '{}';
    END IF;
    UPDATE series SET stand_in = stand_in * held, settled = settled * held WHERE stand_in <> '{}' OR settled <> '{}';
    RETURN NULL;
END
$$;

-- Puts the four triggers on one table; bounds only for a monthly partition.
CREATE FUNCTION watch_candles(watched regclass, first text DEFAULT NULL, past text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SET search_path = backfill, pg_temp AS $$
DECLARE
    foreign_writer constant text := 'WHEN (current_setting(''backfill.ledger'', true) IS DISTINCT FROM ''writer'')';
BEGIN
    EXECUTE format('CREATE TRIGGER add_to_held AFTER INSERT ON %s REFERENCING NEW TABLE AS added '
                   'FOR EACH STATEMENT %s EXECUTE FUNCTION add_to_held()', watched, foreign_writer);
    EXECUTE format('CREATE TRIGGER remove_from_held AFTER DELETE ON %s REFERENCING OLD TABLE AS removed '
                   'FOR EACH STATEMENT %s EXECUTE FUNCTION remove_from_held()', watched, foreign_writer);
    EXECUTE format('CREATE TRIGGER move_in_held AFTER UPDATE ON %s '
                   'REFERENCING OLD TABLE AS removed NEW TABLE AS added '
                   'FOR EACH STATEMENT %s EXECUTE FUNCTION move_in_held()', watched, foreign_writer);
    EXECUTE format('CREATE TRIGGER empty_held AFTER TRUNCATE ON %s '
                   'FOR EACH STATEMENT EXECUTE FUNCTION empty_held(%s)', watched,
                   CASE WHEN first IS NULL THEN '' ELSE format('%L, %L', first, past) END);
END
$$;

-- Makes the monthly partitions that [first, past) needs; gives how many are new. Rows that waited in the
-- default partition move over, which changes nothing of what is held.
CREATE FUNCTION ensure_candle_partitions(first timestamptz, past timestamptz) RETURNS integer
LANGUAGE plpgsql SET search_path = backfill, pg_temp AS $$
DECLARE
    month timestamptz := date_trunc('month', first, 'UTC');
    next_month timestamptz;
    name text;
    ledger text := coalesce(current_setting('backfill.ledger', true), '');
    made integer := 0;
BEGIN
    WHILE month < past LOOP
        next_month := date_trunc('month', month + interval '32 days', 'UTC');
        name := to_char(month AT TIME ZONE 'UTC', '"candles_y"YYYY"m"MM');
        IF to_regclass('backfill.' || name) IS NULL THEN
            LOCK TABLE candles IN SHARE UPDATE EXCLUSIVE MODE;  -- one maker at a time; readers and writers go on
            IF to_regclass('backfill.' || name) IS NULL THEN
                EXECUTE format('CREATE TABLE %I (LIKE candles INCLUDING ALL)', name);
                LOCK TABLE candles_default IN ACCESS EXCLUSIVE MODE;  -- rows on their way in must arrive first, to be moved
                PERFORM set_config('backfill.ledger', 'writer', true);
                EXECUTE format('WITH moved AS (DELETE FROM candles_default WHERE open_time >= %L AND open_time < %L '
                               'RETURNING *) INSERT INTO %I SELECT * FROM moved', month, next_month, name);
                PERFORM set_config('backfill.ledger', ledger, true);
                EXECUTE format('ALTER TABLE candles ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                               name, month, next_month);
                PERFORM watch_candles(format('backfill.%I', name)::regclass, month::text, next_month::text);
                made := made + 1;
            END IF;
        END IF;
        month := next_month;
    END LOOP;
    RETURN made;
END
$$;

SELECT watch_candles('candles');
SELECT watch_candles('candles_default');
