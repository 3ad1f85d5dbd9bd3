-- Nobody asks the source before the pause is over; a longer pause that stands already is kept. Turns that are still to
-- come are void: who waits for one sees that there has been a pause and takes another.
UPDATE rate_budgets
SET pause_reason = CASE WHEN clock_timestamp() + %(for)s::interval > paused_until THEN %(reason)s ELSE pause_reason END,
    paused_until = greatest(paused_until, clock_timestamp() + %(for)s::interval),
    recent_ms = ARRAY(SELECT at_ms FROM unnest(recent_ms) WITH ORDINALITY AS turn (at_ms, place)
                      WHERE at_ms <= epoch_ms(clock_timestamp()) ORDER BY place)
WHERE source_id = %(source_id)s
