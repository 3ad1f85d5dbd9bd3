-- Names that a source uses for another listing than before: once traded, and listed later than the name was last seen listed
-- (what is announced may be put off); or in another currency, or as another kind of contract. The instrument so far keeps its
-- candles under another name; bars that it was given since the new listing began are not its own. A newer description of
-- another worker stays.
WITH told AS (
    SELECT DISTINCT ON (symbol) *
    FROM jsonb_to_recordset(%(instruments)s::jsonb) AS t (
        symbol text, base_currency text, quote_currency text, settle_currency text, contract_type text, list_time timestamptz)
    ORDER BY symbol
), changed AS (
    SELECT i.id, i.symbol, regexp_replace(i.symbol, '(\.(mark|index))?$',
                          to_char(i.last_listed_at AT TIME ZONE 'UTC', '".until-"YYYYMMDDHH24MISS') || '\1') AS kept_as,
           later.later AS is_later, t.list_time,
           concat_ws(', ',
               CASE WHEN later.later
                    THEN 'listed ' || to_char(t.list_time AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC' END,
               CASE WHEN t.base_currency <> i.base_currency THEN 'of ' || t.base_currency END,
               CASE WHEN t.quote_currency <> i.quote_currency THEN 'in ' || t.quote_currency END,
               CASE WHEN t.settle_currency <> i.settle_currency THEN 'settled in ' || t.settle_currency END,
               CASE WHEN t.contract_type <> i.contract_type THEN t.contract_type END) AS evidence
    FROM told AS t JOIN instruments AS i USING (symbol)
    CROSS JOIN LATERAL (SELECT t.list_time > i.last_listed_at AND i.list_time_told <= i.last_listed_at AS later) AS later
    WHERE i.described_by = %(source_id)s AND i.last_listed_at IS NOT NULL AND i.refreshed_at < %(asked_at)s
), begun AS (
    SELECT * FROM changed WHERE evidence <> ''
), foreign_bars AS (
    DELETE FROM candles AS c USING begun AS b, series AS s
    WHERE b.is_later AND s.instrument_id = b.id AND c.series_id = s.id AND c.open_time >= b.list_time
    RETURNING s.instrument_id
), renamed AS (
    UPDATE instruments AS i SET symbol = b.kept_as, state = 'unlisted' FROM begun AS b WHERE i.id = b.id
)
INSERT INTO instrument_log (instrument_id, instrument, what, old, new)
SELECT b.id, b.symbol, 'name_reused', b.kept_as,
       b.evidence || coalesce((SELECT '; ' || nullif(count(*), 0) || ' bars were not its own' FROM foreign_bars AS f
                               WHERE f.instrument_id = b.id), '')
FROM begun AS b
RETURNING instrument_id
