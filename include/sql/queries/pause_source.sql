-- Nobody asks the source before the pause is over; a longer pause that stands already is kept.
UPDATE rate_budgets
SET pause_reason = CASE WHEN clock_timestamp() + %(for)s::interval > paused_until THEN %(reason)s ELSE pause_reason END,
    paused_until = greatest(paused_until, clock_timestamp() + %(for)s::interval)
WHERE source_id = %(source_id)s
