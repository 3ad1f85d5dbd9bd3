-- What is known of the instruments, who described them, and how old that is (NULL: no source has yet).
SELECT symbol, contract_type, settle_currency, quote_currency, state, described_by,
       extract(epoch FROM now() - refreshed_at)::double precision AS age_s
FROM instruments
