-- A page's share of its run, written with the page: the log of a killed run is right too.
UPDATE gap_fill_runs
SET rows_inserted = rows_inserted + %(inserted)s,
    rows_revised = rows_revised + %(revised)s,
    rows_quarantined = rows_quarantined + %(quarantined)s,
    absent_found = absent_found + %(absent)s,
    requests_planned = %(requests_planned)s,
    requests = %(requests)s,
    sources = CASE WHEN %(inserted)s + %(revised)s = 0 THEN sources
              ELSE sources || jsonb_build_object(%(source)s::text,
                   coalesce((sources ->> %(source)s::text)::bigint, 0) + %(inserted)s + %(revised)s) END
WHERE id = %(fill_run_id)s
