-- Instruments that somebody wishes for and the home exchange does not name. They may have been delisted: what is known
-- of them stays.
INSERT INTO instruments AS i (symbol, state, refreshed_at)
SELECT unnest(%(symbols)s::text[]), 'unlisted', now()
ON CONFLICT (symbol) DO UPDATE SET state = 'unlisted', refreshed_at = now()
