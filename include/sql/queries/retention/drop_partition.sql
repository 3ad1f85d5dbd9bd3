-- What is told of its rows is taken back in the same transaction.
DROP TABLE {table}
