-- The waiting bars into the candles, as compare_by_hand tells them apart; former selves into the revisions. The
-- triggers keep the ledger. A finding that lies within what was written is settled: the next check looks anew.
WITH waiting AS MATERIALIZED (
    SELECT * FROM compare_by_hand(
        %(place)s::bigint[], %(series_id)s::integer[], %(source_id)s::smallint[], %(open_time)s::timestamptz[],
        %(open)s::float8[], %(high)s::float8[], %(low)s::float8[], %(close)s::float8[], %(volume)s::float8[],
        %(quote_volume)s::float8[], %(first)s, %(past)s, %(tells_quote_volume)s
    )
), kept AS (
    INSERT INTO revisions (series_id, open_time, reason, open, high, low, close, volume, quote_volume, source_id,
                           new_open, new_high, new_low, new_close, new_volume, new_quote_volume, new_source_id, note)
    SELECT series_id, open_time, 'manual', held_open, held_high, held_low, held_close, held_volume, held_quote_volume,
           held_source_id, open, high, low, close, volume, quote_volume, source_id, %(note)s
    FROM waiting WHERE change = 'changed'
), revised AS (
    UPDATE candles AS c
    SET open = n.open, high = n.high, low = n.low, close = n.close, volume = n.volume, quote_volume = n.quote_volume,
        source_id = n.source_id
    FROM waiting AS n
    WHERE n.change = 'changed' AND c.series_id = n.series_id AND c.open_time = n.open_time
      AND c.open_time >= %(first)s AND c.open_time < %(past)s
    RETURNING 1
), inserted AS (
    INSERT INTO candles (series_id, open_time, open, high, low, close, volume, quote_volume, source_id)
    SELECT series_id, open_time, open, high, low, close, volume, quote_volume, source_id
    FROM waiting WHERE change = 'new'
    RETURNING 1
), written AS (
    SELECT s.id, s.step_ms, range_agg(int8range(epoch_ms(n.open_time), epoch_ms(n.open_time) + s.step_ms)) AS bars
    FROM waiting AS n JOIN series AS s ON s.id = n.series_id
    WHERE n.change <> 'unchanged'
    GROUP BY s.id
), settled AS (
    UPDATE findings AS f
    SET status = 'settled', settled_at = now(), detail = f.detail || jsonb_build_object('settled_by', %(note)s::text)
    FROM written AS w
    WHERE f.series_id = w.id AND f.status = 'open'
      AND int8range(epoch_ms(f.start_time), greatest(epoch_ms(f.end_time), epoch_ms(f.start_time) + w.step_ms)) <@ w.bars
    RETURNING 1
)
SELECT (SELECT count(*) FROM inserted) AS inserted, (SELECT count(*) FROM revised) AS revised,
       (SELECT count(*) FROM waiting WHERE change = 'unchanged') AS unchanged,
       (SELECT count(*) FROM settled) AS findings_settled
