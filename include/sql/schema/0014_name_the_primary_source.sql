-- The first source of a series is its primary source. Comments called it the home, and so did proofs of listings.

UPDATE listings SET proved_by = 'primary' WHERE proved_by = 'home';

COMMENT ON COLUMN instruments.list_time IS 'The earliest listing time that the primary source ever gave: a hint, not on the grid.';
COMMENT ON COLUMN instruments.list_time_told IS 'The listing time that the primary source gave last.';
COMMENT ON COLUMN instruments.last_listed_at IS 'When the primary source''s list named it last; while its state is `unlisted`, windows end here, or after its last candle. NULL: never.';
COMMENT ON COLUMN instruments.refreshed_at IS 'When the primary source last described the instrument; NULL: never yet.';
COMMENT ON COLUMN listings.proved_by IS 'Whose candles the overlap was with: `primary`, or another source while the primary source has none; `identity`: no overlap was needed.';
COMMENT ON COLUMN series.source_ids IS 'The sources that may supply it, best first. The first is its primary source.';
COMMENT ON COLUMN series.settled IS 'The part of held that the primary source has given, or given again, some time after the bars were over.';
COMMENT ON COLUMN series.no_trade IS 'Bars that the primary source lacks and whose lack its own longer bars have proved.';
COMMENT ON COLUMN series.lost IS 'Bars that the primary source lacks although its own longer bars count their trades: gaps, whatever the sources answer.';
COMMENT ON COLUMN series.roll_up IS 'Whether missing bars may be made of finer ones of the same primary source.';
COMMENT ON COLUMN series.stand_in IS 'The part of held that comes from a source ranked below the primary source: the primary source is asked for it until it answers.';
COMMENT ON TABLE instrument_log IS 'What the primary source has changed of its instruments, as we saw it when we asked. It only grows.';
