-- What coarser bars of the primary source have proved of the bars it has not: a later proof takes the place of an earlier one.
UPDATE series
SET no_trade = no_trade - %(lost)s::int8multirange + %(no_trade)s::int8multirange,
    lost = lost - %(no_trade)s::int8multirange + %(lost)s::int8multirange
WHERE id = %(series_id)s
