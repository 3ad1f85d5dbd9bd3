-- Whether a source has ever given a candle of the series that opens before a time; what was carried over from a former name it gave under that.
SELECT EXISTS (
    SELECT FROM candles WHERE series_id = %(series_id)s AND open_time < %(before)s AND source_id = %(source_id)s
      AND open_time >= coalesce((SELECT from_epoch_ms(max(upper(c.bars))) FROM carried AS c WHERE c.series_id = %(series_id)s),
                                '-infinity')
)
