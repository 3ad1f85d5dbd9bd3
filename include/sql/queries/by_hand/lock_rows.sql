-- Nobody else changes the bars that a person has decided on until the transaction ends.
SELECT count(*) FROM (
    SELECT FROM candles AS c JOIN unnest(%(series_id)s::integer[], %(open_time)s::timestamptz[]) AS n (series_id, open_time)
         ON n.series_id = c.series_id AND n.open_time = c.open_time
    WHERE c.open_time >= %(first)s AND c.open_time < %(past)s
    ORDER BY c.series_id, c.open_time
    FOR UPDATE OF c
) AS locked
