-- Splits of stocks (docs/decisions/0037-splits.md).
CREATE TABLE splits (
    id            integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    instrument_id integer NOT NULL REFERENCES instruments (id),
    ratio         double precision NOT NULL CHECK (ratio > 0),
    after_time    timestamptz NOT NULL,
    until_time    timestamptz NOT NULL CHECK (until_time >= after_time),
    source_id     smallint NOT NULL REFERENCES sources (id),
    noticed_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE splits IS 'Splits of instruments, as a source''s prices or its own list showed them.';
COMMENT ON COLUMN splits.ratio IS 'New shares for one old: 4 of a split 4:1, 0.1 of a reverse split 1:10.';
COMMENT ON COLUMN splits.after_time IS 'A bar that opened then is at the old scale; one of until_time or later at the new one.';
CREATE INDEX splits_of_an_instrument ON splits (instrument_id, until_time);

ALTER TABLE instrument_log DROP CONSTRAINT instrument_log_what_check;
ALTER TABLE instrument_log ADD CONSTRAINT instrument_log_what_check CHECK (what IN (
    'listed', 'delisted', 'relisted', 'renamed', 'contract_value_changed', 'tick_size_changed', 'state_changed',
    'list_time_changed', 'expire_time_changed', 'source_changed', 'name_reused', 'split'));
COMMENT ON COLUMN instrument_log.what IS 'listed: its list names it for the first time that we see; delisted: no longer; renamed: new is another instrument, the same coin at another scale, listed as this one went; name_reused: the name is another listing''s now, what it was before is kept as old, and new says what shows it; split: new says how many new shares came for old ones, and when.';

ALTER TABLE revisions DROP CONSTRAINT revisions_reason_check;
ALTER TABLE revisions ADD CONSTRAINT revisions_reason_check
    CHECK (reason IN ('provider_correction', 'native_restored', 'manual', 'split'));

-- Some sources reach back by timeframe: Yahoo 7 days of minutes, and to the listing in days.
ALTER TABLE sources ADD COLUMN reach_by_timeframe jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN sources.reach_by_timeframe IS 'As reach_bars, of the timeframes where it is another: {"1m": 10070}.';

CREATE FUNCTION reach_of(source sources, of_timeframe text) RETURNS integer
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT coalesce((source.reach_by_timeframe ->> of_timeframe)::integer, source.reach_bars);
END;

-- As in 0019, by timeframe. What no source can serve any more of each series' gaps, and what will have left every source's reach by `horizon` from
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
            SELECT reach_of(src, s.timeframe) * s.step_ms AS reach_ms,
                   (g.gaps - coalesce((
                       SELECT range_agg(a.absent) FROM absences AS a
                       WHERE a.series_id = s.id AND a.source_id = src.id AND a.grade <> 'doubtful' AND a.expires_at > at), '{}'))
                   * int8multirange(int8range(epoch_ms(at) - reach_of(src, s.timeframe) * s.step_ms, NULL)) AS serve
            FROM sources AS src
            WHERE src.id = ANY (s.source_ids)
              AND coalesce((SELECT NOT bool_and(l.status = 'refused') FROM listings AS l
                            WHERE l.instrument_id = s.instrument_id AND l.source_id = src.id), true)
        ) AS can
    ) AS r
    WHERE EXISTS (SELECT FROM sources AS src WHERE src.id = ANY (s.source_ids) AND reach_of(src, s.timeframe) IS NOT NULL)
    OFFSET 0;
END;
