-- A split as one series or a list shows it: a known one becomes more precise, a new one is logged too.
WITH known AS MATERIALIZED (
    SELECT id FROM splits
    WHERE instrument_id = %(instrument_id)s AND abs(ln(ratio / %(ratio)s)) < 0.01
      AND after_time <= %(until_time)s AND until_time >= %(after_time)s
    ORDER BY id LIMIT 1
), narrowed AS (
    UPDATE splits AS s
    SET after_time = greatest(s.after_time, %(after_time)s), until_time = least(s.until_time, %(until_time)s)
    FROM known WHERE s.id = known.id
), added AS (
    INSERT INTO splits (instrument_id, ratio, after_time, until_time, source_id)
    SELECT %(instrument_id)s, %(ratio)s, %(after_time)s, %(until_time)s, %(source_id)s
    WHERE NOT EXISTS (SELECT FROM known)
    RETURNING instrument_id
)
INSERT INTO instrument_log (instrument_id, instrument, what, new)
SELECT i.id, i.symbol, 'split', %(said)s FROM added JOIN instruments AS i ON i.id = added.instrument_id
