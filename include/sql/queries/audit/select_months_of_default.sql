-- The months whose rows wait in the default partition, in ms.
SELECT epoch_ms(month) AS first_ms, epoch_ms(date_trunc('month', month + interval '32 days', 'UTC')) AS past_ms,
       to_char(month AT TIME ZONE 'UTC', 'YYYY-MM') AS month, bars
FROM (
    SELECT date_trunc('month', open_time, 'UTC') AS month, count(*) AS bars
    FROM candles_default WHERE isfinite(open_time) GROUP BY 1
) AS waiting
ORDER BY first_ms
