-- What is held of a span and what of it is a stand-in, recounted from the candles under lock_ledger's lock. Writers before
-- us have updated the ledger; writers after us will.
UPDATE series AS s
SET held = s.held - counted.span + counted.held, stand_in = s.stand_in - counted.span + counted.stand_in,
    settled = (s.settled + %(settled)s::int8multirange) - (counted.span - counted.held)
FROM (
    SELECT one.id, int8multirange(int8range(%(start_ms)s, %(end_ms)s)) AS span,
           coalesce(range_agg(bar.bar) FILTER (WHERE c.series_id IS NOT NULL), '{}') AS held,
           coalesce(range_agg(bar.bar) FILTER (WHERE c.source_id = ANY (one.source_ids[2:])), '{}') AS stand_in
    FROM series AS one
    LEFT JOIN candles AS c ON c.series_id = one.id AND c.open_time >= %(first)s AND c.open_time < %(past)s
         AND (epoch_ms(c.open_time) - one.anchor_ms) %% one.step_ms = 0
    CROSS JOIN LATERAL (SELECT int8range(epoch_ms(c.open_time), epoch_ms(c.open_time) + one.step_ms) AS bar) AS bar
    WHERE one.id = %(series_id)s
    GROUP BY one.id
) AS counted
WHERE s.id = counted.id
