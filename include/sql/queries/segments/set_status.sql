-- These segments take a step; the trigger `guard_segment` keeps its time and refuses what is no step.
UPDATE segments SET status = %(status)s WHERE id = ANY (%(ids)s)
