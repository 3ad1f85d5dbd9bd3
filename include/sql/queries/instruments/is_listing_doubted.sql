-- Whether a source has answered that it does not know an instrument since its list last named it.
SELECT EXISTS (
    SELECT FROM source_attempts AS a
    JOIN gap_fill_runs AS r ON r.id = a.fill_run_id
    JOIN series AS s ON s.id = r.series_id
    JOIN instruments AS i ON i.id = s.instrument_id
    WHERE a.source_id = %(source_id)s AND a.outcome = 'SymbolNotListed'
      AND a.recorded_at > (SELECT min(refreshed_at) FROM instruments WHERE described_by = %(source_id)s)  -- so that the index of the newest is enough
      AND i.described_by = %(source_id)s AND i.state <> 'unlisted' AND a.recorded_at > i.refreshed_at
)
