-- When a source has listed payments of an instrument, from a moment on, the oldest first.
SELECT epoch_ms(r.funding_time) FROM funding_rates AS r JOIN instruments AS i ON i.id = r.instrument_id
WHERE i.symbol = %(symbol)s AND r.source_id = %(source_id)s AND r.funding_time >= from_epoch_ms(%(first_ms)s)
ORDER BY r.funding_time LIMIT %(limit)s
