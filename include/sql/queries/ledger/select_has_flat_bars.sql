-- Whether a source writes flat bars without volume into a series: then a missing bar is no sign that nothing traded.
SELECT EXISTS (
    SELECT FROM candles
    WHERE series_id = %(series_id)s AND source_id = %(source_id)s AND high = low AND volume = 0
      AND open_time >= %(first)s AND open_time < %(past)s)
