-- When the next requests of a source may be sent, in ms from now; one negative number while it is paused. Then what
-- time it is, and when the last pause ended, both in epoch ms.
SELECT reserve_requests(b.source_id, %(wanted)s, b.pool) AS waits_ms, epoch_ms(clock_timestamp()) AS now_ms,
       epoch_ms(greatest(b.paused_until, 'epoch')) AS resumed_ms
FROM rate_budgets AS b WHERE b.source_id = %(source_id)s AND b.pool = %(pool)s
