-- Notes what a notifier tells now; the rows that come back are new, or were told longer than `repeat` ago.
WITH forgotten AS (
    DELETE FROM alerts_told AS t
    WHERE t.told_by = %(told_by)s AND t.told_at < now() - %(repeat)s::interval
      AND NOT EXISTS (SELECT FROM unnest(%(kinds)s::text[], %(subjects)s::text[]) AS now_true (kind, subject)
                      WHERE (now_true.kind, now_true.subject) = (t.kind, t.subject))
)
INSERT INTO alerts_told AS t (told_by, kind, subject)
SELECT %(told_by)s, kind, subject FROM unnest(%(kinds)s::text[], %(subjects)s::text[]) AS now_true (kind, subject)
ON CONFLICT (told_by, kind, subject) DO UPDATE SET told_at = now() WHERE t.told_at < now() - %(repeat)s::interval
RETURNING kind, subject
