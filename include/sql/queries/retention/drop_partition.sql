-- Drop a month; the same transaction takes back what the ledger says of its rows.
DROP TABLE {table}
