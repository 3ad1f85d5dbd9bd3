-- One line for an instrument and its former name, whichever of their series comes first.
INSERT INTO instrument_log (instrument_id, instrument, what, old, new)
SELECT i.id, i.symbol, 'history_carried', %(old)s, %(said)s
FROM instruments AS i
WHERE i.symbol = %(new)s
  AND NOT EXISTS (SELECT FROM instrument_log AS l
                  WHERE l.instrument_id = i.id AND l.what = 'history_carried' AND l.old = %(old)s)
