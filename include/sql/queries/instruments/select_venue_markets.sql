-- The markets of a source as they were loaded last, if that was not long ago.
SELECT markets FROM venue_markets WHERE source_id = %(source_id)s AND loaded_at > now() - %(live)s::interval
