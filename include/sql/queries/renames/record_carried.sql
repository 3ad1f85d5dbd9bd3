-- What was carried over, and what was known of these bars under the former name, as far as the same primary source has said it.
WITH told AS MATERIALIZED (
    SELECT n.id, n.source_ids[1] = o.source_ids[1] AS same_primary, o.held * n.held * span.span AS bars,
           o.settled * n.held * span.span AS settled, o.no_trade * span.span AS no_trade, o.lost * span.span AS lost
    FROM series AS n, series AS o,
         (SELECT int8multirange(int8range(%(start_ms)s, %(end_ms)s)) AS span) AS span
    WHERE n.id = %(series_id)s AND o.id = %(from_series_id)s
), known AS (
    UPDATE series AS s
    SET settled = s.settled + t.settled, no_trade = s.no_trade + t.no_trade, lost = s.lost + t.lost
    FROM told AS t WHERE s.id = t.id AND t.same_primary
)
INSERT INTO carried AS c (series_id, from_series_id, bars, price_divisor, proved_by, common_bars, agreeing_bars)
SELECT id, %(from_series_id)s, bars, %(divisor)s, %(proved_by)s, %(common_bars)s, %(agreeing_bars)s FROM told
ON CONFLICT (series_id, from_series_id) DO UPDATE
SET bars = c.bars + excluded.bars, proved_by = excluded.proved_by, common_bars = excluded.common_bars,
    agreeing_bars = excluded.agreeing_bars, carried_at = now()
