-- One page of the run log, the last one started first.
SELECT id, dag_id, run_id, task_id, map_index, try_number, symbol, timeframe, window_start, window_end, status,
       gaps_found, missing_before, missing_after, requests, rows_inserted, rows_revised, rows_quarantined,
       absent_found, coverage_before, coverage_after, sources, error, started_at, finished_at
FROM gap_fill_runs
WHERE (%(search)s::text IS NULL OR strpos(lower(symbol), lower(%(search)s)) > 0)
  AND (%(symbol)s::text IS NULL OR symbol = %(symbol)s)
  AND (%(timeframes)s::text[] IS NULL OR timeframe = ANY (%(timeframes)s))
  AND (%(statuses)s::text[] IS NULL OR status = ANY (%(statuses)s))
  AND (%(dag)s::text IS NULL OR dag_id = %(dag)s)
  AND (%(dag_run)s::text IS NULL OR run_id = %(dag_run)s)
  AND (%(task)s::text IS NULL OR task_id = %(task)s)
  AND (%(map_index)s::integer IS NULL OR map_index = %(map_index)s)
ORDER BY id DESC LIMIT %(limit)s OFFSET %(offset)s
