-- The number of the newest entry of the instrument log; 0: there is none.
SELECT coalesce(max(id), 0) FROM instrument_log
