-- Puts the ledger's triggers on a table; bounds only for a month.
SELECT watch_candles(('backfill.' || quote_ident(%(name)s))::regclass,
                     from_epoch_ms(%(first_ms)s)::text, from_epoch_ms(%(past_ms)s)::text)
