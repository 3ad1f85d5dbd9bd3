-- Behind a transaction pooler a session's advisory lock would stay with a server session that others use. There a lock is
-- a row that runs out, renewed with every page. Who has a session of its own still takes the advisory lock, and looks here.
CREATE TABLE claims (
    lock_class integer NOT NULL,
    lock_key   integer NOT NULL,
    holder     uuid NOT NULL,
    claimed_by text NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (lock_class, lock_key)
);
COMMENT ON TABLE claims IS 'Locks of workers behind a transaction pooler, keyed like advisory locks; one past expires_at may be taken over.';

-- A role that may write candles needs no right to create tables: the months' partitions are made in the owner's name.
ALTER FUNCTION ensure_candle_partitions(timestamptz, timestamptz) SECURITY DEFINER;
REVOKE EXECUTE ON FUNCTION ensure_candle_partitions(timestamptz, timestamptz) FROM PUBLIC;

-- What each bar that a person has decided on would change: `new`, `changed` by more than float noise, or `unchanged`, with
-- the fields that differ and what is held. NaN stands for an unknown volume. Without tells_quote_volume a held quote volume
-- stays what it is. A held value that is no number differs from every number. No temporary table: a reader may look too.
CREATE FUNCTION compare_by_hand(
    places bigint[], series_ids integer[], source_ids smallint[], open_times timestamptz[], opens float8[],
    highs float8[], lows float8[], closes float8[], volumes float8[], quote_volumes float8[],
    first timestamptz, past timestamptz, tells_quote_volume boolean
) RETURNS TABLE (
    place bigint, series_id integer, source_id smallint, open_time timestamptz, open float8, high float8, low float8,
    close float8, volume float8, quote_volume float8, change text, fields text[], held_open float8, held_high float8,
    held_low float8, held_close float8, held_volume float8, held_quote_volume float8, held_source_id smallint
) LANGUAGE sql STABLE AS $$
SELECT n.place, n.series_id, n.source_id, n.open_time, n.open, n.high, n.low, n.close, told.volume, told.quote_volume,
       CASE WHEN held.series_id IS NULL THEN 'new' WHEN differing.fields = '{}' THEN 'unchanged' ELSE 'changed' END,
       differing.fields, held.open, held.high, held.low, held.close, held.volume, held.quote_volume, held.source_id
FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
     AS n (place, series_id, source_id, open_time, open, high, low, close, volume, quote_volume)
LEFT JOIN candles AS held ON held.series_id = n.series_id AND held.open_time = n.open_time
     AND held.open_time >= $11 AND held.open_time < $12
CROSS JOIN LATERAL (  -- a quote volume that is not given stays with the bar that it belongs to
    SELECT bool_and(becomes IS NOT DISTINCT FROM was OR (abs(becomes - was) <= 1e-9 * abs(becomes)) IS TRUE) AS same
    FROM (VALUES (n.open, held.open), (n.high, held.high), (n.low, held.low), (n.close, held.close),
                 (nullif(n.volume, 'NaN'), held.volume)) AS field (becomes, was)
) AS rest
CROSS JOIN LATERAL (
    SELECT nullif(n.volume, 'NaN') AS volume,
           CASE WHEN $13 THEN nullif(n.quote_volume, 'NaN') WHEN rest.same THEN held.quote_volume END AS quote_volume
) AS told
CROSS JOIN LATERAL (
    SELECT ARRAY (
        SELECT name
        FROM (VALUES ('open', n.open, held.open), ('high', n.high, held.high), ('low', n.low, held.low),
                     ('close', n.close, held.close), ('volume', told.volume, held.volume),
                     ('quote_volume', told.quote_volume, held.quote_volume)) AS field (name, becomes, was)
        WHERE becomes IS DISTINCT FROM was AND (abs(becomes - was) <= 1e-9 * abs(becomes)) IS NOT TRUE
    ) AS fields
) AS differing
$$;
