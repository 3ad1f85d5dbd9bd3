-- Whether a source writes flat bars without volume into a series where nobody traded: then a bar that it lacks is no sign
-- of a rest.
SELECT EXISTS (
    SELECT FROM candles
    WHERE series_id = %(series_id)s AND source_id = %(source_id)s AND high = low AND volume = 0
      AND open_time >= %(first)s AND open_time < %(past)s)
