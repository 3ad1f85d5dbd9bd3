-- Instruments that no source has described yet are made by name, in one order, so that two processes wait for each
-- other instead of blocking each other. A process that comes second waits until the first has committed: a statement of
-- its own after this one sees every row.
INSERT INTO instruments (symbol)
SELECT wished FROM unnest(%(symbols)s::text[]) AS wished
WHERE NOT EXISTS (SELECT FROM instruments AS i WHERE i.symbol = wished)
ORDER BY wished
ON CONFLICT (symbol) DO NOTHING
