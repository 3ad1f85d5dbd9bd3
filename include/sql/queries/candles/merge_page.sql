-- A page of one source into the candles of one series: new bars come in, a better source replaces a worse one's bar, a
-- source replaces its own bar when it differs by more than float noise, and every replaced bar is kept as a revision.
-- The page comes as one array a column, in which NaN stands for NULL. What a person has corrected stays. What was made of the primary source's finer bars gives way to the primary source alone.
WITH incoming AS MATERIALIZED (
    SELECT open_time, open, high, low, close,
           nullif(volume, 'NaN') AS volume, nullif(quote_volume, 'NaN') AS quote_volume
    FROM unnest(%(open_time)s::timestamptz[], %(open)s::float8[], %(high)s::float8[], %(low)s::float8[],
                %(close)s::float8[], %(volume)s::float8[], %(quote_volume)s::float8[])
         AS page (open_time, open, high, low, close, volume, quote_volume)
), stored AS MATERIALIZED (
    SELECT * FROM candles WHERE series_id = %(series_id)s AND open_time >= %(first)s AND open_time < %(past)s
), derived AS (
    SELECT id FROM sources WHERE name LIKE 'derived:%%'
), replaceable AS MATERIALIZED (
    SELECT c.*, CASE WHEN c.source_id = %(source_id)s THEN 'provider_correction' ELSE 'native_restored' END AS reason
    FROM stored AS c JOIN incoming AS n ON n.open_time = c.open_time
    WHERE c.source_id IS DISTINCT FROM (SELECT id FROM sources WHERE name = 'manual') AND CASE WHEN c.source_id = %(source_id)s
               THEN abs(n.open - c.open) > 1e-9 * abs(c.open)
                 OR abs(n.high - c.high) > 1e-9 * abs(c.high)
                 OR abs(n.low - c.low) > 1e-9 * abs(c.low)
                 OR abs(n.close - c.close) > 1e-9 * abs(c.close)
                 OR abs(n.volume - c.volume) > 1e-9 * abs(c.volume)
                 OR abs(n.quote_volume - c.quote_volume) > 1e-9 * abs(c.quote_volume)
                 OR (c.volume IS NULL AND n.volume IS NOT NULL)
                 OR (c.quote_volume IS NULL AND n.quote_volume IS NOT NULL)
               ELSE coalesce(array_position(%(best_first)s::smallint[], c.source_id),
                             CASE WHEN c.source_id IN (SELECT id FROM derived) THEN 1.5 ELSE 32767 END)
                  > array_position(%(best_first)s::smallint[], %(source_id)s::smallint) END
), kept AS (
    INSERT INTO revisions (series_id, open_time, reason, open, high, low, close, volume, quote_volume, source_id,
                           new_open, new_high, new_low, new_close, new_volume, new_quote_volume, new_source_id,
                           fill_run_id)
    SELECT r.series_id, r.open_time, r.reason, r.open, r.high, r.low, r.close, r.volume, r.quote_volume, r.source_id,
           n.open, n.high, n.low, n.close, n.volume, n.quote_volume, %(source_id)s, %(fill_run_id)s
    FROM replaceable AS r JOIN incoming AS n ON n.open_time = r.open_time
), replaced AS (
    UPDATE candles AS c
    SET open = n.open, high = n.high, low = n.low, close = n.close,
        volume = n.volume, quote_volume = n.quote_volume, source_id = %(source_id)s
    FROM replaceable AS r JOIN incoming AS n ON n.open_time = r.open_time
    WHERE c.series_id = %(series_id)s AND c.open_time = r.open_time
      AND c.open_time >= %(first)s AND c.open_time < %(past)s
    RETURNING 1
), inserted AS (
    INSERT INTO candles (series_id, open_time, open, high, low, close, volume, quote_volume, source_id)
    SELECT %(series_id)s, open_time, open, high, low, close, volume, quote_volume, %(source_id)s FROM incoming
    WHERE open_time NOT IN (SELECT open_time FROM stored)  -- cheaper than a conflict for each row
    ON CONFLICT (series_id, open_time) DO NOTHING
    RETURNING 1
)
SELECT (SELECT count(*) FROM inserted) AS inserted, (SELECT count(*) FROM replaced) AS replaced
