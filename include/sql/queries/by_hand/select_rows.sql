-- What each waiting bar would change, what changes first.
SELECT n.place, i.symbol, s.timeframe, n.open_time, n.change, n.fields, n.open, n.high, n.low, n.close, n.volume,
       n.quote_volume, n.held_open, n.held_high, n.held_low, n.held_close, n.held_volume, n.held_quote_volume,
       held.name AS held_source
FROM compare_by_hand(
    %(place)s::bigint[], %(series_id)s::integer[], %(source_id)s::smallint[], %(open_time)s::timestamptz[],
    %(open)s::float8[], %(high)s::float8[], %(low)s::float8[], %(close)s::float8[], %(volume)s::float8[],
    %(quote_volume)s::float8[], %(first)s, %(past)s, %(tells_quote_volume)s
) AS n
JOIN series AS s ON s.id = n.series_id
JOIN instruments AS i ON i.id = s.instrument_id
LEFT JOIN sources AS held ON held.id = n.held_source_id
ORDER BY array_position(ARRAY['changed', 'new', 'unchanged'], n.change), n.place
