-- One page of the wanted series as of a moment, with totals by timeframe of all that match, as one JSON document. A bar is
-- overdue once it closed before `due_ms`; younger ones are pending. `state`: new (listed lately, and not whole), missing,
-- doubtful (no source has what is overdue, which is not believed yet), pending or whole.
-- It asks less than sync_status does: of a series that is whole no more than that, and of the run log only the page's.
WITH wanted AS MATERIALIZED (
    SELECT s.id AS series_id, i.symbol, i.list_time, s.timeframe, s.step_ms, s.held, s.stand_in, s.no_trade, s.lost, s.source_ids, w.start_ms, w.end_ms, market.closed,
           CASE WHEN int8range(w.start_ms, w.end_ms) <@ s.held OR w.start_ms IS NULL THEN '{}'::int8multirange
                ELSE int8multirange(int8range(w.start_ms, w.end_ms)) - s.held - market.closed END AS lacking
    FROM series AS s
    JOIN instruments AS i ON i.id = s.instrument_id
    LEFT JOIN windows_at(%(at)s, %(settle_ms)s) AS w ON w.series_id = s.id
    CROSS JOIN LATERAL (
        SELECT CASE WHEN s.calendar IS NULL THEN '{}' ELSE closed_of(s.calendar, s.timeframe) END AS closed OFFSET 0
    ) AS market
    WHERE s.wanted AND (%(search)s::text IS NULL OR strpos(lower(i.symbol), lower(%(search)s)) > 0)
      AND (%(timeframes)s::text[] IS NULL OR s.timeframe = ANY (%(timeframes)s))
), counted AS MATERIALIZED (
    SELECT w.series_id, w.symbol, w.timeframe, w.step_ms, w.list_time,
           CASE WHEN w.held <> '{}' THEN from_epoch_ms(lower(w.held)) END AS oldest_data,
           CASE WHEN w.held <> '{}' THEN from_epoch_ms(upper(w.held) - w.step_ms) END AS newest_data,
           covered_ms(w.held) / w.step_ms AS total_candles,
           CASE WHEN w.stand_in = '{}' THEN 0 ELSE covered_ms(w.stand_in) / w.step_ms END AS stand_in_candles,
           coalesce((w.end_ms - w.start_ms) / w.step_ms, 0)
           - CASE WHEN isempty(w.closed) OR w.start_ms IS NULL THEN 0
                  ELSE covered_ms(int8multirange(int8range(w.start_ms, w.end_ms)) * w.closed - w.held) / w.step_ms END AS window_candles, n.*
    FROM wanted AS w
    CROSS JOIN LATERAL (
        SELECT CASE WHEN isempty(w.lacking) THEN '{}'::int8multirange
                    ELSE w.lacking - ((SELECT absent FROM absent_everywhere(w.series_id, w.source_ids, %(at)s)) + w.no_trade - w.lost)
                    END AS gaps
        OFFSET 0
    ) AS g
    CROSS JOIN LATERAL (SELECT g.gaps * int8multirange(int8range(NULL, %(due_ms)s)) AS late OFFSET 0) AS l
    CROSS JOIN LATERAL (
        SELECT CASE WHEN isempty(w.lacking) THEN 0 ELSE covered_ms(w.lacking) / w.step_ms END AS lacking_candles,
               CASE WHEN isempty(g.gaps) THEN 0 ELSE covered_ms(g.gaps) / w.step_ms END AS missing_candles,
               CASE WHEN isempty(l.late) THEN 0 ELSE covered_ms(l.late) / w.step_ms END AS overdue_candles,
               CASE WHEN isempty(l.late) THEN 0
                    ELSE (SELECT covered_ms(l.late * silent - w.lost) / w.step_ms
                          FROM silent_everywhere(w.series_id, w.source_ids, %(at)s)) END AS doubtful_candles
    ) AS n
), known AS MATERIALIZED (
    SELECT series_id, symbol, timeframe, step_ms, oldest_data, newest_data, total_candles, stand_in_candles,
           window_candles - lacking_candles + missing_candles AS expected_candles, missing_candles, overdue_candles,
           doubtful_candles, lacking_candles - missing_candles AS absent_candles,
           CASE WHEN window_candles - lacking_candles + missing_candles = 0 THEN 100
                ELSE 100.0::double precision * (window_candles - lacking_candles) / (window_candles - lacking_candles + missing_candles)
                END AS coverage_pct,
           CASE WHEN overdue_candles = 0 THEN CASE WHEN missing_candles > 0 THEN 'pending' ELSE 'whole' END
                WHEN list_time > %(at)s::timestamptz - %(new_for)s::interval THEN 'new'
                WHEN overdue_candles <= doubtful_candles THEN 'doubtful'
                ELSE 'missing' END AS state
    FROM counted
), matching AS MATERIALIZED (
    SELECT *, array_position('{missing,doubtful,new,pending,whole}', state) AS severity
    FROM known WHERE %(states)s::text[] IS NULL OR state = ANY (%(states)s)
), page AS (
    SELECT row_number() OVER (ORDER BY
               CASE %(sort)s WHEN 'severity' THEN severity
                             WHEN 'coverage' THEN coverage_pct
                             WHEN 'missing' THEN overdue_candles
                             WHEN 'timeframe' THEN step_ms
                             WHEN 'newest' THEN epoch_ms(newest_data) END * %(direction)s NULLS LAST,
               CASE WHEN %(sort)s = 'symbol' AND %(direction)s = 1 THEN symbol COLLATE "C" END,
               CASE WHEN %(sort)s = 'symbol' AND %(direction)s = -1 THEN symbol COLLATE "C" END DESC,
               coverage_pct, symbol COLLATE "C", step_ms) AS place, m.*
    FROM matching AS m
    ORDER BY place LIMIT %(limit)s OFFSET %(offset)s
), told AS (
    SELECT p.*, run.status AS last_run, run.finished_at AS last_sync, run.error AS error_message
    FROM page AS p
    LEFT JOIN LATERAL (
        SELECT r.status, r.finished_at, r.error FROM gap_fill_runs AS r
        WHERE r.series_id = p.series_id AND r.validation IS NULL ORDER BY r.started_at DESC LIMIT 1
    ) AS run ON true
), totals AS (
    SELECT timeframe, step_ms, count(*) AS series, count(*) FILTER (WHERE state IN ('whole', 'pending')) AS whole,
           count(*) FILTER (WHERE state = 'missing') AS missing, count(*) FILTER (WHERE state = 'doubtful') AS doubtful,
           count(*) FILTER (WHERE state = 'new') AS new, sum(total_candles)::bigint AS total_candles,
           sum(overdue_candles)::bigint AS overdue_candles,
           (sum(missing_candles) - sum(overdue_candles))::bigint AS pending_candles,
           sum(stand_in_candles)::bigint AS stand_in_candles
    FROM matching GROUP BY timeframe, step_ms
)
SELECT jsonb_build_object(
    'rows', coalesce((SELECT jsonb_agg(to_jsonb(t) - '{place,severity}'::text[] ORDER BY place) FROM told AS t), '[]'),
    'totals', coalesce((SELECT jsonb_agg(to_jsonb(t) - 'step_ms' ORDER BY step_ms) FROM totals AS t), '[]'),
    'total', (SELECT count(*) FROM matching)) AS document
