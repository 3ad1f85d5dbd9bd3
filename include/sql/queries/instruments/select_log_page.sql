-- One page of what has become of the instruments, the newest first.
SELECT id, instrument AS symbol, at, what, old, new
FROM instrument_log
WHERE (%(search)s::text IS NULL OR strpos(lower(instrument), lower(%(search)s)) > 0)
  AND (%(symbol)s::text IS NULL OR instrument = %(symbol)s)
  AND (%(statuses)s::text[] IS NULL OR what = ANY (%(statuses)s))
ORDER BY id DESC LIMIT %(limit)s OFFSET %(offset)s
