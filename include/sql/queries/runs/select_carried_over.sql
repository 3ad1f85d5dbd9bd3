-- The series of which a run has left requests to the next one.
SELECT DISTINCT series_id FROM gap_fill_runs WHERE dag_id = %(dag_id)s AND run_id = %(run_id)s AND requests_left > 0
