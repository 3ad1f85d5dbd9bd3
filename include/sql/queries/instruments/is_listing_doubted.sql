-- Whether the home exchange has denied to know an instrument since its list last named it.
SELECT EXISTS (
    SELECT FROM source_attempts AS a
    JOIN gap_fill_runs AS r ON r.id = a.fill_run_id
    JOIN series AS s ON s.id = r.series_id
    JOIN instruments AS i ON i.id = s.instrument_id
    WHERE a.source_id = %(source_id)s AND a.outcome = 'SymbolNotListed'
      AND a.recorded_at > (SELECT min(refreshed_at) FROM instruments)  -- so that the index of the newest is enough
      AND i.state <> 'unlisted' AND a.recorded_at > i.refreshed_at
)
