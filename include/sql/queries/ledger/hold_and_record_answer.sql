-- A page's bars, all of them written by this transaction, are held from now on: from the primary source, or as stand-ins. Beside
-- that, what record_answer says, in one go.
WITH kept AS (
    UPDATE series
    SET held = held + %(present)s::int8multirange,
        stand_in = CASE WHEN %(source_id)s = ANY (source_ids[2:]) THEN stand_in + %(present)s::int8multirange
                        ELSE stand_in - %(present)s::int8multirange END,
        settled = settled + %(settled)s::int8multirange
    WHERE id = %(series_id)s
    RETURNING id
)
SELECT record_answer(id, %(source_id)s::smallint, %(missing)s::int8multirange, %(present)s::int8multirange,
                     %(next_life)s::interval, %(fill_run_id)s)
FROM kept
