-- Every series that is wanted now, and on which terms.
SELECT i.symbol, s.timeframe, s.history_ms, epoch_ms(s.since) AS since_ms, epoch_ms(s.until) AS until_ms, s.retention_ms,
       ARRAY (SELECT src.name FROM unnest(s.source_ids) WITH ORDINALITY AS ranked (source_id, place)
              JOIN sources AS src ON src.id = ranked.source_id ORDER BY ranked.place) AS sources,
       s.spot_proxy, s.objective_pct, s.roll_up, s.ready_bars, s.calendar, s.splits
FROM series AS s JOIN instruments AS i ON i.id = s.instrument_id
WHERE s.wanted
ORDER BY i.symbol, s.step_ms
