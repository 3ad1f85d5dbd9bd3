-- How long a source is still paused, in ms; zero or less: not at all.
SELECT epoch_ms(greatest(paused_until, 'epoch')) - epoch_ms(clock_timestamp()) AS left_ms, pause_reason
FROM rate_budgets WHERE source_id = %(source_id)s
