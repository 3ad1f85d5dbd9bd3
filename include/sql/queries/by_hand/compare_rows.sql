-- What each waiting bar would change: `new`, `changed` by more than float noise, or `unchanged`. A quote volume that was
-- not told of stays if nothing else changes: it belongs to the bar that was. A held value that is no number differs from
-- every number.
UPDATE rows_by_hand AS waiting
SET volume = told.volume, quote_volume = told.quote_volume,
    change = CASE WHEN held.series_id IS NULL THEN 'new' WHEN differing.fields = '{}' THEN 'unchanged' ELSE 'changed' END,
    fields = differing.fields,
    held_open = held.open, held_high = held.high, held_low = held.low, held_close = held.close,
    held_volume = held.volume, held_quote_volume = held.quote_volume, held_source_id = held.source_id
FROM rows_by_hand AS n
LEFT JOIN candles AS held ON held.series_id = n.series_id AND held.open_time = n.open_time
     AND held.open_time >= %(first)s AND held.open_time < %(past)s
CROSS JOIN LATERAL (
    SELECT bool_and(becomes IS NOT DISTINCT FROM was OR (abs(becomes - was) <= 1e-9 * abs(becomes)) IS TRUE) AS same
    FROM (VALUES (n.open, held.open), (n.high, held.high), (n.low, held.low), (n.close, held.close),
                 (nullif(n.volume, 'NaN'), held.volume)) AS field (becomes, was)
) AS rest
CROSS JOIN LATERAL (
    SELECT nullif(n.volume, 'NaN') AS volume,
           CASE WHEN %(tells_quote_volume)s THEN nullif(n.quote_volume, 'NaN')
                WHEN rest.same THEN held.quote_volume END AS quote_volume
) AS told
CROSS JOIN LATERAL (
    SELECT ARRAY (
        SELECT name
        FROM (VALUES ('open', n.open, held.open), ('high', n.high, held.high), ('low', n.low, held.low),
                     ('close', n.close, held.close), ('volume', told.volume, held.volume),
                     ('quote_volume', told.quote_volume, held.quote_volume)) AS field (name, becomes, was)
        WHERE becomes IS DISTINCT FROM was AND (abs(becomes - was) <= 1e-9 * abs(becomes)) IS NOT TRUE
    ) AS fields
) AS differing
WHERE waiting.place = n.place
