-- The markets of a source, just loaded.
INSERT INTO venue_markets (source_id, markets) VALUES (%(source_id)s, %(markets)s)
ON CONFLICT (source_id) DO UPDATE SET markets = excluded.markets, loaded_at = now()
