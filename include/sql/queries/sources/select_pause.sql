-- When the last pause of a source ends or has ended, in epoch ms, why it was made, and what time it is.
SELECT epoch_ms(greatest(paused_until, 'epoch')) AS resumed_ms, pause_reason, epoch_ms(clock_timestamp()) AS now_ms
FROM rate_budgets WHERE source_id = %(source_id)s AND pool = %(pool)s
