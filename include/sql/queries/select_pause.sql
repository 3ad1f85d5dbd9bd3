-- How long a source is still paused, in ms (zero or less: not at all), why, and what time it is.
SELECT epoch_ms(greatest(paused_until, 'epoch')) - epoch_ms(clock_timestamp()) AS left_ms, pause_reason,
       epoch_ms(clock_timestamp()) AS now_ms
FROM rate_budgets WHERE source_id = %(source_id)s
