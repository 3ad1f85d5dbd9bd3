-- Instruments that have gone in favour of another scale of the same coin.
INSERT INTO instrument_log (instrument_id, instrument, what, old, new)
SELECT i.id, i.symbol, 'renamed', i.symbol, r.new
FROM jsonb_to_recordset(%(renamed)s::jsonb) AS r (old text, new text)
JOIN instruments AS i ON i.symbol = r.old
