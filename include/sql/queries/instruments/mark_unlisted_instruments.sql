-- Instruments that the home exchange did not name when it was asked: those it has named before, and those that somebody
-- wishes for. They may have been delisted: what is known of them stays.
INSERT INTO instruments AS i (symbol, state, refreshed_at)
SELECT symbol, 'unlisted', %(asked_at)s::timestamptz
FROM (
    SELECT unnest(%(wished)s::text[]) AS symbol
    UNION SELECT symbol FROM instruments WHERE last_listed_at IS NOT NULL
) AS known
WHERE symbol <> ALL (%(told)s::text[])
ORDER BY symbol
ON CONFLICT (symbol) DO UPDATE SET state = 'unlisted', refreshed_at = excluded.refreshed_at
WHERE i.refreshed_at IS NULL OR i.refreshed_at < excluded.refreshed_at
