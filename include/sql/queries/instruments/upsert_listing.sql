-- What a check of a source's listing has found.
INSERT INTO listings (instrument_id, source_id, venue_symbol, instrument_class, price_scale, volume_scale, status, reason,
                      overlap_bars, median_close_ratio, proved_by, contract_value, market, checked_at)
SELECT i.id, %(source_id)s, %(venue_symbol)s, %(instrument_class)s, %(price_scale)s, %(volume_scale)s, %(status)s,
       %(reason)s, %(overlap_bars)s, %(median_close_ratio)s, %(proved_by)s, i.contract_value, %(market)s, now()
FROM instruments AS i WHERE i.symbol = %(symbol)s
ON CONFLICT (instrument_id, source_id, instrument_class) DO UPDATE
SET venue_symbol = excluded.venue_symbol, price_scale = excluded.price_scale, volume_scale = excluded.volume_scale,
    status = excluded.status, reason = excluded.reason, overlap_bars = excluded.overlap_bars,
    median_close_ratio = excluded.median_close_ratio, proved_by = excluded.proved_by,
    contract_value = excluded.contract_value, market = excluded.market, checked_at = excluded.checked_at
