-- What is known of the instruments, and how old that is (NULL: never told).
SELECT symbol, contract_type, settle_currency, quote_currency, state,
       extract(epoch FROM now() - refreshed_at)::double precision AS age_s
FROM instruments
