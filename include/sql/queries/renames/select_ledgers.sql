-- What is held of two series, and what of it was carried over into each, as multiranges in text.
SELECT s.id, s.held::text,
       coalesce((SELECT range_agg(c.bars) FROM carried AS c WHERE c.series_id = s.id), '{}')::text AS carried
FROM series AS s WHERE s.id = ANY (%(series_ids)s)
