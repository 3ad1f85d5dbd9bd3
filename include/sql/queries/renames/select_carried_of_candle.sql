-- From which instruments one bar was carried over, the first one first.
SELECT i.symbol AS from_symbol, c.price_divisor, c.proved_by, c.common_bars, c.agreeing_bars, c.carried_at
FROM carried AS c JOIN series AS o ON o.id = c.from_series_id JOIN instruments AS i ON i.id = o.instrument_id
WHERE c.series_id = %(series_id)s AND c.bars @> %(open_ms)s::bigint
ORDER BY c.carried_at
