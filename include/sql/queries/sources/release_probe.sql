-- A probe has ended without a word on how the source is: the next caller may be the probe at once.
UPDATE source_health SET state = 'open', open_until = clock_timestamp()
WHERE source_id = %(source_id)s AND state = 'half_open' AND probed_by[1] = %(run)s
