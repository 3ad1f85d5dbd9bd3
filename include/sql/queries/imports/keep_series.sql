-- A series that is not wanted: it keeps candles that were imported, and nothing is asked for it.
INSERT INTO series (instrument_id, timeframe, wanted, spot_proxy)
SELECT i.id, %(timeframe)s, false, %(spot_proxy)s FROM instruments AS i WHERE i.symbol = %(symbol)s
ON CONFLICT (instrument_id, timeframe) DO NOTHING
