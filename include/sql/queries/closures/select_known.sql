-- For which span each calendar's closed bars are known, by which rules and since when.
SELECT calendar, timeframe, lower(known), upper(known), made_by, made_at FROM closures
