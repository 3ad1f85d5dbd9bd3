-- Which of a page's bars are held already.
SELECT held * %(bars)s::int8multirange FROM series WHERE id = %(series_id)s
