-- What one Dag run has changed of the candles, per timeframe: rows, series and sources, and the span of the windows.
SELECT r.timeframe, sum(r.rows_inserted)::bigint AS inserted, sum(r.rows_revised)::bigint AS revised,
       min(r.window_start) AS window_start, max(r.window_end) AS window_end,
       array_agg(DISTINCT r.symbol ORDER BY r.symbol) AS symbols,
       (SELECT coalesce(jsonb_object_agg(of.source, of.rows), '{}')
        FROM (SELECT given.key AS source, sum(given.value::bigint)::bigint AS rows
              FROM gap_fill_runs AS g CROSS JOIN LATERAL jsonb_each_text(g.sources) AS given
              WHERE g.dag_id = %(dag_id)s AND g.run_id = %(run_id)s AND g.timeframe = r.timeframe
              GROUP BY given.key) AS of) AS sources
FROM gap_fill_runs AS r
WHERE r.dag_id = %(dag_id)s AND r.run_id = %(run_id)s AND r.rows_inserted + r.rows_revised > 0
GROUP BY r.timeframe, step_ms(r.timeframe)
ORDER BY step_ms(r.timeframe)
