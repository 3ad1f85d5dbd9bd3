-- Nobody reads or writes candles until the transaction ends: it must be a short one.
LOCK TABLE ONLY candles, ONLY {table} IN ACCESS EXCLUSIVE MODE
