-- Series whose ledger does not say of a span what its candles are, all of it as of one moment. `untold`: stored, not held.
-- `vanished`: held, not stored. `misattributed`: stand-ins that are none, or the other way round. `unsettled`: settled, not
-- held. Counts of bars, and the first intervals of each.
SELECT one.id AS series_id, drift.name, covered_ms(drift.intervals) / one.step_ms AS bars,
       lower(drift.intervals) AS first_ms, upper(drift.intervals) AS past_ms,
       ARRAY (
           SELECT ARRAY[lower(interval), upper(interval)] FROM unnest(drift.intervals) AS interval LIMIT %(most_told)s
       ) AS intervals
FROM series AS one
CROSS JOIN LATERAL (
    SELECT int8multirange(int8range(grid_ceil(%(first_ms)s, one.step_ms, one.anchor_ms),
                                    grid_ceil(%(past_ms)s, one.step_ms, one.anchor_ms))) AS span
) AS asked
CROSS JOIN LATERAL (
    SELECT coalesce(range_agg(bar.bar), '{}') AS held,
           coalesce(range_agg(bar.bar) FILTER (WHERE c.source_id = ANY (one.source_ids[2:])), '{}') AS stand_in
    FROM candles AS c
    CROSS JOIN LATERAL (SELECT int8range(epoch_ms(c.open_time), epoch_ms(c.open_time) + one.step_ms) AS bar) AS bar
    WHERE c.series_id = one.id
      AND c.open_time >= from_epoch_ms(%(first_ms)s) AND c.open_time < from_epoch_ms(%(past_ms)s)
      AND (epoch_ms(c.open_time) - one.anchor_ms) %% one.step_ms = 0
) AS counted
CROSS JOIN LATERAL (
    SELECT one.held * asked.span AS held, one.stand_in * asked.span AS stand_in, one.settled * asked.span AS settled
) AS said
CROSS JOIN LATERAL (VALUES
    ('untold', counted.held - said.held),
    ('vanished', said.held - counted.held),
    ('misattributed', (counted.stand_in - said.stand_in) + (said.stand_in - counted.stand_in)),
    ('unsettled', said.settled - counted.held)
) AS drift (name, intervals)
WHERE (%(series_ids)s::integer[] IS NULL OR one.id = ANY (%(series_ids)s)) AND drift.intervals <> '{}'
ORDER BY one.id
