-- One series with its window as of a moment, in ms (NULL: it has none), and who may supply it, best first.
SELECT s.id AS series_id, i.symbol, s.timeframe, s.step_ms, s.wanted, s.objective_pct, s.retention_ms, s.source_ids[1] AS primary_id,
       ARRAY (SELECT src.name FROM unnest(s.source_ids) WITH ORDINALITY AS ranked (source_id, place)
              JOIN sources AS src ON src.id = ranked.source_id ORDER BY ranked.place) AS sources,
       w.start_ms, w.end_ms, lower(s.held) AS oldest_ms, upper(s.held) AS held_until_ms,
       covered_ms(s.held) / s.step_ms AS held_candles, covered_ms(s.stand_in) / s.step_ms AS stand_in_candles,
       i.state AS instrument_state, i.list_time
FROM series AS s
JOIN instruments AS i ON i.id = s.instrument_id
LEFT JOIN LATERAL (
    SELECT one.start_ms, one.end_ms FROM windows_at(%(at)s, %(settle_ms)s) AS one WHERE one.series_id = s.id
) AS w ON true
WHERE i.symbol = %(symbol)s AND s.timeframe = %(timeframe)s
