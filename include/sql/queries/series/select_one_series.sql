-- One series, and what its ledger says of one bar as of a moment. In ms: the window (NULL: there is none), the listing at
-- the primary source, the start of retention, the end of the last closed bar. `absent`: every source confirms it absent.
-- `refused`: one source has only rows that broke a rule.
SELECT s.id AS series_id, s.wanted, s.source_ids,
       ARRAY (SELECT src.name
              FROM unnest(s.source_ids) WITH ORDINALITY AS ranked (source_id, place)
              JOIN sources AS src ON src.id = ranked.source_id
              ORDER BY ranked.place) AS sources,
       s.held @> bar.ms AS held, s.settled @> bar.ms AS settled, s.no_trade @> bar.ms AS no_trade, closed_of(s.calendar, s.timeframe) @> bar.ms AS closed, s.lost @> bar.ms AS lost,
       (SELECT absent @> bar.ms FROM absent_everywhere(s.id, s.source_ids, %(at)s)) AS absent,
       EXISTS (SELECT FROM absences AS a
               WHERE a.series_id = s.id AND a.source_id = ANY (s.source_ids) AND a.grade = 'refused' AND a.absent @> bar.ms) AS refused,
       w.start_ms, w.end_ms,
       CASE WHEN prime.describes THEN grid_floor(epoch_ms(i.list_time), s.step_ms, s.anchor_ms) END AS listed_from_ms,
       CASE WHEN prime.describes
            THEN grid_floor(least(epoch_ms(i.expire_time), CASE i.state WHEN 'unlisted' THEN epoch_ms(i.last_listed_at) END),
                            s.step_ms, s.anchor_ms) END AS listed_until_ms,
       grid_ceil(w.end_ms - s.retention_ms, s.step_ms, s.anchor_ms) AS kept_from_ms,
       grid_floor(epoch_ms(%(at)s) - %(settle_ms)s, s.step_ms, s.anchor_ms) AS closed_until_ms
FROM series AS s
JOIN instruments AS i ON i.id = s.instrument_id
CROSS JOIN LATERAL (SELECT %(open_ms)s::bigint AS ms) AS bar
CROSS JOIN LATERAL (SELECT s.source_ids[1] = i.described_by AS describes) AS prime
LEFT JOIN LATERAL (
    SELECT one.start_ms, one.end_ms FROM windows_at(%(at)s, %(settle_ms)s) AS one WHERE one.series_id = s.id
) AS w ON true
WHERE i.symbol = %(symbol)s AND s.timeframe = %(timeframe)s
