-- One page of the gaps as of a moment, the newest or the largest first, with the number of all that match. `asked`: each source
-- that may supply the series, best first, with what it answered of the gap: `absent` at a grade until it may be asked again,
-- `refused` (its listing is another instrument), `skipped` (its breaker is open) or `not answered`.
WITH found AS MATERIALIZED (
    SELECT g.series_id, i.symbol, i.id AS instrument_id, g.timeframe, g.step_ms, s.source_ids, of_kind.reason, gap
    FROM gaps_at(%(at)s, %(settle_ms)s, %(from_ms)s, %(to_ms)s) AS g
    JOIN series AS s ON s.id = g.series_id
    JOIN instruments AS i ON i.id = g.instrument_id
    CROSS JOIN LATERAL silent_everywhere(s.id, s.source_ids, %(at)s) AS nowhere
    CROSS JOIN LATERAL (VALUES ('lost', g.gaps * s.lost),
                               ('doubtful', g.gaps * nowhere.silent - s.lost),
                               ('not asked', g.gaps - nowhere.silent - s.lost)) AS of_kind (reason, bars)
    CROSS JOIN LATERAL unnest(of_kind.bars) AS gap
    WHERE (%(search)s::text IS NULL OR strpos(lower(i.symbol), lower(%(search)s)) > 0)
      AND (%(symbol)s::text IS NULL OR i.symbol = %(symbol)s)
      AND (%(timeframes)s::text[] IS NULL OR g.timeframe = ANY (%(timeframes)s))
      AND (%(reasons)s::text[] IS NULL OR of_kind.reason = ANY (%(reasons)s))
      AND (%(pending)s OR lower(gap) < %(due_ms)s)
), page AS (
    SELECT *, (SELECT count(*) FROM found) AS total
    FROM found
    ORDER BY CASE %(sort)s WHEN 'largest' THEN (upper(gap) - lower(gap)) / step_ms WHEN 'oldest' THEN -lower(gap)
                           ELSE lower(gap) END DESC, symbol, step_ms, lower(gap)
    LIMIT %(limit)s OFFSET %(offset)s
)
SELECT p.symbol, p.timeframe, from_epoch_ms(lower(p.gap)) AS gap_start, from_epoch_ms(upper(p.gap)) AS gap_end,
       (upper(p.gap) - lower(p.gap)) / p.step_ms AS missing_candles, p.reason, p.step_ms, p.total,
       (SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'source', src.name,
                   'answer', CASE WHEN listed.refused THEN 'refused' WHEN said.grade IS NOT NULL THEN 'absent'
                                  WHEN h.state = 'open' AND h.open_until > %(at)s THEN 'skipped' ELSE 'not answered' END,
                   'grade', said.grade, 'confirmations', said.confirmations, 'ask_again_at', coalesce(said.expires_at,
                       CASE WHEN h.state = 'open' THEN h.open_until END),
                   'error', CASE WHEN said.grade IS NULL AND NOT listed.refused THEN h.last_error ELSE listed.reason END
               ) ORDER BY ranked.place), '[]')
        FROM unnest(p.source_ids) WITH ORDINALITY AS ranked (source_id, place)
        JOIN sources AS src ON src.id = ranked.source_id
        LEFT JOIN source_health AS h ON h.source_id = src.id
        LEFT JOIN LATERAL (
            SELECT a.grade, a.confirmations, a.expires_at FROM absences AS a
            WHERE a.series_id = p.series_id AND a.source_id = src.id AND a.absent && p.gap
            ORDER BY a.expires_at DESC LIMIT 1
        ) AS said ON true
        CROSS JOIN LATERAL (
            SELECT coalesce(bool_and(l.status = 'refused'), false) AS refused, min(l.reason) FILTER (WHERE l.status = 'refused') AS reason
            FROM listings AS l WHERE l.instrument_id = p.instrument_id AND l.source_id = src.id
        ) AS listed) AS asked
FROM page AS p
