-- How the primary source describes an instrument.
SELECT symbol, base_currency, quote_currency, settle_currency, contract_type FROM instruments WHERE symbol = %(symbol)s
