-- When the next requests of a source may be sent, in ms from now; one negative number while it is paused. And now.
SELECT reserve_requests(%(source_id)s::smallint, %(wanted)s) AS waits_ms, epoch_ms(clock_timestamp()) AS now_ms
