-- A name that its source uses for another listing (docs/decisions/0034-a-name-used-again.md).

ALTER TABLE instrument_log DROP CONSTRAINT instrument_log_what_check;
ALTER TABLE instrument_log ADD CONSTRAINT instrument_log_what_check CHECK (what IN (
    'listed', 'delisted', 'relisted', 'renamed', 'contract_value_changed', 'tick_size_changed', 'state_changed',
    'list_time_changed', 'expire_time_changed', 'source_changed', 'name_reused'));
COMMENT ON COLUMN instrument_log.what IS 'listed: its list names it for the first time that we see; delisted: no longer; renamed: new is another instrument, the same coin at another scale, listed as this one went; name_reused: the name is another listing''s now, what it was before is kept as old, and new says what shows it.';
