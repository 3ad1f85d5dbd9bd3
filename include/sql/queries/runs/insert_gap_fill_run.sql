-- An attempt on a series begins.
INSERT INTO gap_fill_runs (dag_id, run_id, task_id, map_index, try_number, series_id, symbol, timeframe, window_start,
                           window_end, gaps_found, missing_before, coverage_before, validation)
VALUES (%(dag_id)s, %(run_id)s, %(task_id)s, %(map_index)s, %(try_number)s, %(series_id)s, %(symbol)s, %(timeframe)s,
        %(window_start)s, %(window_end)s, %(gaps_found)s, %(missing_before)s, %(coverage_before)s, %(validation)s)
RETURNING id
