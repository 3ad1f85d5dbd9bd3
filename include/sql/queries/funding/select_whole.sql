-- Between which moments a source has listed every payment of an instrument, and the newest two in a window, newest first.
SELECT coalesce((SELECT f.whole FROM funding_spans AS f JOIN instruments AS i ON i.id = f.instrument_id
                 WHERE i.symbol = %(symbol)s AND f.source_id = %(source_id)s), '{}') AS whole,
       ARRAY (SELECT epoch_ms(r.funding_time) FROM funding_rates AS r JOIN instruments AS i ON i.id = r.instrument_id
              WHERE i.symbol = %(symbol)s AND r.source_id = %(source_id)s ORDER BY r.funding_time DESC LIMIT 2) AS newest
