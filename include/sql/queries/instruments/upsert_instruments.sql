-- What a source reported of its instruments. While the same source describes an instrument its listing time only moves back:
-- exchanges have changed it before, and stored candles must stay inside the bound. A newer description of another worker
-- stays.
INSERT INTO instruments AS i (symbol, base_currency, quote_currency, settle_currency, contract_type, contract_value,
                              tick_size, state, list_time, list_time_told, expire_time, refreshed_at, last_listed_at,
                              described_by)
SELECT DISTINCT ON (symbol) told.*, %(asked_at)s::timestamptz, %(asked_at)s::timestamptz, %(source_id)s::smallint
FROM jsonb_to_recordset(%(instruments)s::jsonb) AS told (
    symbol text, base_currency text, quote_currency text, settle_currency text, contract_type text,
    contract_value double precision, tick_size double precision, state text, list_time timestamptz,
    list_time_told timestamptz, expire_time timestamptz)
ORDER BY symbol
ON CONFLICT (symbol) DO UPDATE
SET base_currency = excluded.base_currency, quote_currency = excluded.quote_currency,
    settle_currency = excluded.settle_currency, contract_type = excluded.contract_type,
    contract_value = excluded.contract_value, tick_size = excluded.tick_size, state = excluded.state,
    list_time = CASE WHEN i.described_by IS NOT DISTINCT FROM excluded.described_by
                     THEN least(i.list_time, excluded.list_time) ELSE excluded.list_time END,
    described_by = excluded.described_by, list_time_told = excluded.list_time_told,
    expire_time = excluded.expire_time, refreshed_at = excluded.refreshed_at, last_listed_at = excluded.last_listed_at
WHERE i.refreshed_at IS NULL OR i.refreshed_at < excluded.refreshed_at
