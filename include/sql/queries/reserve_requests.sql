-- When the next requests of a source may be sent, in ms from now; one negative number while it is paused.
SELECT reserve_requests(%(source_id)s::smallint, %(wanted)s)
