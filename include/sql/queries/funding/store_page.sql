-- One answer: its payments, and the spans that they make whole. A payment that is stored stays, unless its rate has changed.
WITH of AS (
    SELECT id FROM instruments WHERE symbol = %(symbol)s
), paid AS (
    INSERT INTO funding_rates AS f (instrument_id, source_id, funding_time, rate)
    SELECT of.id, %(source_id)s, from_epoch_ms(e.funding_ms), e.rate
    FROM of, unnest(%(funding_ms)s::bigint[], %(rates)s::float8[]) AS e (funding_ms, rate)
    ON CONFLICT (instrument_id, source_id, funding_time) DO UPDATE SET rate = excluded.rate, stored_at = now()
    WHERE f.rate <> excluded.rate
    RETURNING 1
), known AS (
    INSERT INTO funding_spans AS w (instrument_id, source_id, whole)
    SELECT of.id, %(source_id)s, %(whole)s::int8multirange FROM of
    ON CONFLICT (instrument_id, source_id) DO UPDATE SET whole = w.whole + excluded.whole
    RETURNING 1
)
SELECT (SELECT count(*) FROM paid) AS stored, (SELECT count(*) FROM known) AS known
