-- What is known of a source's listing of an instrument: a proved one before a refused one, then the better class.
SELECT l.venue_symbol, l.instrument_class, l.price_scale, l.volume_scale, l.status, l.reason, l.proved_by, l.market,
       extract(epoch FROM now() - l.checked_at)::double precision AS age_s,
       l.contract_value IS NOT DISTINCT FROM i.contract_value AS same_contract
FROM listings AS l JOIN instruments AS i ON i.id = l.instrument_id
WHERE i.symbol = %(symbol)s AND l.source_id = %(source_id)s
ORDER BY l.status = 'proved' DESC, l.instrument_class
