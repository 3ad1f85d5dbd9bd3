-- Instruments that a source did not name when it was asked: those it has described before, and those that are wished for
-- from it. They may have been delisted: what is known of them stays.
INSERT INTO instruments AS i (symbol, state, refreshed_at, described_by)
SELECT symbol, 'unlisted', %(asked_at)s::timestamptz, %(source_id)s::smallint
FROM (
    SELECT unnest(%(wished)s::text[]) AS symbol
    UNION SELECT symbol FROM instruments WHERE last_listed_at IS NOT NULL AND described_by = %(source_id)s
) AS known
WHERE symbol <> ALL (%(listed)s::text[])
ORDER BY symbol
ON CONFLICT (symbol) DO UPDATE SET state = 'unlisted', refreshed_at = excluded.refreshed_at, described_by = excluded.described_by
WHERE i.refreshed_at IS NULL OR i.refreshed_at < excluded.refreshed_at
