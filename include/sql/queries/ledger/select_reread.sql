-- What of one series there is to read again, as multiranges in text: bars that another writer has changed; bars of open
-- findings that lie outside the window, or that only the audit looks for; pages beside found corrections; and all bars of
-- the primary source before a moment, over which the rolling plan walks. None of them where the source answered that it
-- lacks the bar or gave a row that broke a rule, or that were carried over from a former name. Beside that, where the plan
-- stands and how many series share the source.
WITH mine AS (
    SELECT s.id, s.held - known.carried AS held, s.stand_in, s.touched - known.carried AS touched, s.source_ids,
           coalesce((SELECT range_agg(a.absent) FROM absences AS a
                     WHERE a.series_id = s.id AND a.source_id = s.source_ids[1]), '{}') AS absent,
           coalesce((SELECT range_agg(span_of_finding(f, s.step_ms)) FROM findings AS f
                     WHERE f.series_id = s.id AND f.status = 'open' AND isfinite(f.start_time)
                       AND f.kind = ANY (%(kinds)s)
                       AND (f.kind = ANY (%(audit_kinds)s)
                            OR NOT int8range(%(start_ms)s, %(end_ms)s) @> epoch_ms(f.start_time))), '{}') AS accused
    FROM series AS s
    CROSS JOIN LATERAL (
        SELECT coalesce(range_agg(c.bars), '{}') AS carried FROM carried AS c WHERE c.series_id = s.id
    ) AS known
    WHERE s.id = %(series_id)s
)
SELECT (m.touched - m.stand_in - m.absent)::text AS touched,
       (m.accused * m.held - m.stand_in - m.absent)::text AS accused,
       (coalesce(r.widened, '{}') * m.held - m.stand_in)::text AS widened,
       ((m.held - m.stand_in - m.absent) * int8multirange(int8range(NULL, %(settled_ms)s)))::text AS native,
       r.next_ms, r.reread_at, r.accused_at,
       (SELECT count(*) FROM series AS o WHERE o.wanted AND o.source_ids[1] = m.source_ids[1]) AS sharers
FROM mine AS m LEFT JOIN rereads AS r ON r.series_id = m.id
