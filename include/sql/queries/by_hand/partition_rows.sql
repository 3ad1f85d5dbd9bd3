-- The months of the waiting bars that need a partition.
SELECT count(ensure_candle_partitions(month, month + interval '1 day'))
FROM (SELECT DISTINCT date_trunc('month', open_time, 'UTC') AS month FROM rows_by_hand WHERE change = 'new') AS needed
