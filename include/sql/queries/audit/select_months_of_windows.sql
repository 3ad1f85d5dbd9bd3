-- The months that series with candles need, in ms. What has begun less than a day ago may wait for its first fill.
SELECT DISTINCT epoch_ms(month) AS first_ms, epoch_ms(date_trunc('month', month + interval '32 days', 'UTC')) AS past_ms
FROM windows_at(%(at)s - interval '1 day') AS w
CROSS JOIN LATERAL generate_series(
    date_trunc('month', from_epoch_ms(w.start_ms), 'UTC'), from_epoch_ms(w.end_ms - 1), interval '1 month') AS month
WHERE w.held <> '{}'
ORDER BY first_ms
