-- Bars whose only row was refused, bars that another writer changed, pages that are due to be read again, and how far
-- back each source reaches (docs/decisions/0025-may-i-use-this-day.md).

ALTER TABLE absences DROP CONSTRAINT absences_grade_check;
ALTER TABLE absences ADD CONSTRAINT absences_grade_check CHECK (grade IN ('proved', 'reported', 'doubtful', 'refused'));
COMMENT ON TABLE absences IS 'What a source has no usable candle for. Until expires_at it is not asked for these intervals again. Intervals of a series and source never overlap.';
COMMENT ON COLUMN absences.grade IS 'doubtful: a gap still, one answer or an improbable silence; reported: two answers of different runs, plausible for the series; proved: another source lacks them too, or another timeframe shows that nothing traded; refused: the source has a row, which broke a rule and is in quarantine.';

ALTER TABLE series ADD COLUMN touched int8multirange NOT NULL DEFAULT '{}';
COMMENT ON COLUMN series.touched IS 'The part of held whose values another writer has changed since a source gave them: it is read again.';

ALTER TABLE sources ADD COLUMN reach_bars integer CHECK (reach_bars > 0);
COMMENT ON COLUMN sources.reach_bars IS 'How many bars back from now the source serves; NULL: to the listing, or unknown.';

CREATE TABLE rereads (
    series_id  integer PRIMARY KEY REFERENCES series (id) ON DELETE CASCADE,
    next_ms    bigint,
    reread_at  timestamptz,
    accused_at timestamptz,
    widened    int8multirange NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE rereads IS 'The rolling plan that reads old pages again, to find late corrections.';
COMMENT ON COLUMN rereads.next_ms IS 'The next page ends here; the plan walks from new to old and starts over.';
COMMENT ON COLUMN rereads.accused_at IS 'When the bars of open findings that no check asks about were read again last.';
COMMENT ON COLUMN rereads.widened IS 'Pages beside found corrections, in this series or in another of the same source: they come first.';

-- A touched bar that is gone is nothing to read again.
CREATE FUNCTION cut_touched() RETURNS trigger
LANGUAGE plpgsql SET search_path = backfill, pg_temp AS $$
BEGIN
    NEW.touched := NEW.touched * NEW.held;
    RETURN NEW;
END
$$;
CREATE TRIGGER cut_touched BEFORE UPDATE OF held ON series
FOR EACH ROW WHEN (NEW.touched <> '{}') EXECUTE FUNCTION cut_touched();

-- A changed key is a removal and an addition, and so is a changed source. A changed value moves nothing, but what the
-- source gave is no longer what is stored: such a bar is no longer settled and is read again. A bar that nobody had
-- settled is read again anyway (a live ingester rewrites its running bar), and a person's correction stays.
CREATE OR REPLACE FUNCTION move_in_held() RETURNS trigger
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
    UPDATE series AS s
    SET touched = s.touched + changed.bars * (s.settled + s.stand_in), settled = s.settled - changed.bars
    FROM (
        SELECT n.series_id, range_agg(int8range(epoch_ms(n.open_time), epoch_ms(n.open_time) + one.step_ms)) AS bars
        FROM added AS n
        JOIN removed AS o ON o.series_id = n.series_id AND o.open_time = n.open_time AND o.source_id = n.source_id
        JOIN series AS one ON one.id = n.series_id
        JOIN sources AS src ON src.id = n.source_id AND src.name <> 'manual'
        WHERE (n.open, n.high, n.low, n.close, n.volume, n.quote_volume)
              IS DISTINCT FROM (o.open, o.high, o.low, o.close, o.volume, o.quote_volume)
          AND (epoch_ms(n.open_time) - one.anchor_ms) % one.step_ms = 0
        GROUP BY n.series_id
    ) AS changed
    WHERE s.id = changed.series_id;
    RETURN NULL;
END
$$;

-- As in 0013. A row or a silence where one was refused before settles that bar; a refusal is neither of them.
CREATE OR REPLACE FUNCTION record_answer(of_series integer, of_source smallint, missing int8multirange, present int8multirange,
                                         next_life interval, of_run bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path = backfill, pg_temp AS $$
DECLARE
    believed int8multirange;
    faded int8multirange;
    doubtful int8multirange;
    refused int8multirange;
    was_whole boolean;
    earlier absences;
    age interval;
BEGIN
    SELECT coalesce(range_agg(absent) FILTER (WHERE grade IN ('proved', 'reported') AND expires_at > now()), '{}'),
           coalesce(range_agg(absent) FILTER (WHERE grade IN ('proved', 'reported') AND expires_at <= now()), '{}'),
           coalesce(range_agg(absent) FILTER (WHERE grade = 'doubtful'), '{}'),
           coalesce(range_agg(absent) FILTER (WHERE grade = 'refused'), '{}')
    INTO believed, faded, doubtful, refused
    FROM absences WHERE series_id = of_series AND source_id = of_source;

    IF refused && (present + missing) THEN
        PERFORM remove_absence(of_series, of_source, '{refused}', present + missing);
    END IF;
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

-- Of some bars, those whose rows of this source a person has discarded, every one.
CREATE FUNCTION discarded_bars(of_series integer, of_source smallint, these int8multirange) RETURNS int8multirange
LANGUAGE sql STABLE SET search_path = backfill, pg_temp
BEGIN ATOMIC
    SELECT coalesce(range_agg(int8range(epoch_ms(q.open_time), epoch_ms(q.open_time) + q.step_ms)), '{}')
    FROM (
        SELECT q.open_time, s.step_ms
        FROM quarantine AS q JOIN series AS s ON s.id = q.series_id
        WHERE q.series_id = of_series AND q.source_id = of_source AND these @> epoch_ms(q.open_time)
          AND q.open_time >= from_epoch_ms(lower(these)) AND q.open_time < from_epoch_ms(upper(these))
        GROUP BY q.open_time, s.step_ms HAVING bool_and(q.status = 'discarded')
    ) AS q;
END;

-- A source gave rows for `these` bars that all broke a rule. The next runs ask again; refused still ten minutes later, the
-- bars rest for an hour, then for as long as it has been so, at most a week. What a person has discarded counts as reported
-- absent.
CREATE FUNCTION record_refusal(of_series integer, of_source smallint, these int8multirange, of_run bigint) RETURNS void
LANGUAGE plpgsql SET search_path = backfill, pg_temp AS $$
DECLARE
    discarded int8multirange := discarded_bars(of_series, of_source, these);
    fresh int8multirange := these - discarded;
    earlier absences;
BEGIN
    PERFORM remove_absence(of_series, of_source, '{proved,reported,doubtful}', these);
    FOR earlier IN SELECT * FROM absences
                   WHERE series_id = of_series AND source_id = of_source AND grade = 'refused' AND absent && these LOOP
        fresh := fresh - earlier.absent;
        CONTINUE WHEN earlier.fill_run_id = of_run;
        PERFORM remove_absence(of_series, of_source, '{refused}', earlier.absent * these);
        PERFORM add_absence(
            of_series, of_source, 'refused', least(earlier.confirmations + 1, 1000)::smallint,
            CASE WHEN now() - earlier.first_seen_at < interval '10 minutes' THEN date_trunc('minute', now())
                 ELSE date_trunc('hour', now() + interval '1 hour'
                                 + least(greatest(now() - earlier.first_seen_at, interval '1 hour'), interval '7 days')) END,
            earlier.first_seen_at, of_run, earlier.absent * these - discarded);
    END LOOP;
    PERFORM add_absence(of_series, of_source, 'refused', 1::smallint, date_trunc('minute', now()),
                        date_trunc('minute', now()), of_run, fresh);
    PERFORM add_absence(of_series, of_source, 'reported', 3::smallint, date_trunc('hour', now() + interval '7 days'),
                        date_trunc('hour', now()), of_run, discarded);
END
$$;

-- A person's decision settles a refused bar: released, it is stored; discarded, its source has nothing for it.
CREATE FUNCTION settle_refused() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = backfill, pg_temp AS $$
DECLARE
    bar int8multirange := (SELECT int8multirange(int8range(epoch_ms(NEW.open_time), epoch_ms(NEW.open_time) + s.step_ms))
                           FROM series AS s WHERE s.id = NEW.series_id);
BEGIN
    IF EXISTS (SELECT FROM absences AS a WHERE a.series_id = NEW.series_id AND a.source_id = NEW.source_id
               AND a.grade = 'refused' AND a.absent && bar) THEN
        IF NEW.status = 'released' OR bar <@ discarded_bars(NEW.series_id, NEW.source_id, bar) THEN
            PERFORM remove_absence(NEW.series_id, NEW.source_id, '{refused}', bar);
        END IF;
        IF NEW.status = 'discarded' THEN
            PERFORM record_refusal(NEW.series_id, NEW.source_id, bar, -1);
        END IF;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER settle_refused AFTER UPDATE OF status ON quarantine
FOR EACH ROW WHEN (NEW.open_time IS NOT NULL AND OLD.status = 'pending' AND NEW.status <> 'pending')
EXECUTE FUNCTION settle_refused();

-- Rows that wait in quarantine from before: their bars are refused, and the next run asks for them once more.
SELECT record_refusal(q.series_id, q.source_id, q.bars - s.held, 0)
FROM (
    SELECT q.series_id, q.source_id, range_agg(int8range(epoch_ms(q.open_time), epoch_ms(q.open_time) + s.step_ms)) AS bars
    FROM quarantine AS q JOIN series AS s ON s.id = q.series_id
    WHERE q.status = 'pending' AND (epoch_ms(q.open_time) - s.anchor_ms) % s.step_ms = 0
      AND q.rule !~ '^open_time_(is_out_of_order|was_not_asked_for|is_in_the_future)'
    GROUP BY q.series_id, q.source_id
) AS q JOIN series AS s ON s.id = q.series_id;
