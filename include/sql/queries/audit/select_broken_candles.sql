-- Candles of a span that break a rule of domain/candle_rules.py, counted by series and rule, oldest first. With `repair`
-- they leave for the quarantine, if they are still as they were seen. What a person has written or released stays.
WITH grid AS MATERIALIZED (
    SELECT s.id, s.step_ms, s.step_ms * interval '1 ms' AS step, from_epoch_ms(s.anchor_ms) AS anchor,
           i.symbol !~ '[.](mark|index)$' AS has_volume
    FROM series AS s JOIN instruments AS i ON i.id = s.instrument_id
), offending AS MATERIALIZED (
    SELECT c.series_id, c.open_time, c.source_id, c AS candle, broke.rule, s.step_ms
    FROM candles AS c
    JOIN grid AS s ON s.id = c.series_id
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN greatest(c.open, c.high, c.low, c.close, c.volume, c.quote_volume) >= 'Infinity'
                OR least(c.open, c.high, c.low, c.close, c.volume, c.quote_volume) = '-Infinity'
                THEN 'number_is_not_finite'
            WHEN greatest(c.open, c.high, c.low, c.close, c.volume, c.quote_volume) > 1e50
                OR least(nullif(abs(c.open), 0), nullif(abs(c.high), 0), nullif(abs(c.low), 0), nullif(abs(c.close), 0),
                         nullif(abs(c.volume), 0), nullif(abs(c.quote_volume), 0)) < 1e-50
                THEN 'number_is_absurd'
            WHEN date_bin(s.step, c.open_time, s.anchor) <> c.open_time THEN 'open_time_is_off_the_grid'
            WHEN c.open_time > %(at)s::timestamptz + %(clock_slack_ms)s * interval '1 ms'
                THEN 'open_time_is_in_the_future'
            WHEN least(c.open, c.high, c.low, c.close) <= 0 THEN 'price_is_not_positive'
            WHEN c.high < greatest(c.open, c.low, c.close) THEN 'high_is_not_highest'
            WHEN c.low > least(c.open, c.high, c.close) THEN 'low_is_not_lowest'
            WHEN c.volume IS NULL AND s.has_volume THEN 'volume_is_missing'
            WHEN least(c.volume, c.quote_volume) < 0 THEN 'volume_is_negative'
        END AS rule
    ) AS broke
    WHERE c.open_time >= from_epoch_ms(%(first_ms)s) AND c.open_time < from_epoch_ms(%(past_ms)s)
      AND (%(series_ids)s::integer[] IS NULL OR c.series_id = ANY (%(series_ids)s))
      AND broke.rule IS NOT NULL
), broken AS MATERIALIZED (
    SELECT * FROM offending
    WHERE source_id IS DISTINCT FROM (SELECT id FROM sources WHERE name = 'manual')
      AND (series_id, open_time) NOT IN (
          SELECT series_id, open_time FROM quarantine WHERE status = 'released' AND open_time IS NOT NULL)
), gone AS (
    DELETE FROM candles AS c USING broken AS b
    WHERE %(repair)s AND c.series_id = b.series_id AND c.open_time = b.open_time AND c.* IS NOT DISTINCT FROM b.candle
      AND c.open_time >= from_epoch_ms(%(first_ms)s) AND c.open_time < from_epoch_ms(%(past_ms)s)
    RETURNING c.series_id, c.open_time, b.source_id, b.rule, to_jsonb(b.candle) AS payload
), kept AS (
    INSERT INTO quarantine (series_id, source_id, open_time, rule, payload)
    SELECT series_id, source_id, open_time, rule, payload FROM gone
    ON CONFLICT (series_id, source_id, rule, md5(payload::text))
    DO UPDATE SET times_seen = quarantine.times_seen + 1, last_seen_at = now()
)
SELECT series_id, rule, count(*) AS bars,
       epoch_ms(min(open_time)) AS first_ms, epoch_ms(max(open_time)) + min(step_ms) AS past_ms,
       (array_agg(epoch_ms(open_time) ORDER BY open_time))[:%(most_told)s] AS opens_ms
FROM broken
GROUP BY series_id, rule
ORDER BY series_id, rule
