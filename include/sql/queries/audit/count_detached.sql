SELECT count(*) AS rows,
       count(*) FILTER (WHERE EXISTS (
           SELECT FROM candles AS c WHERE c.series_id = d.series_id AND c.open_time = d.open_time)) AS also_in_candles
FROM {table} AS d
