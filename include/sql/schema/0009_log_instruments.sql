-- What has become of the instruments: one row for each change that the home exchange's list has told.

CREATE TABLE instrument_log (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    instrument_id integer NOT NULL REFERENCES instruments (id),
    instrument    text NOT NULL,
    at            timestamptz NOT NULL DEFAULT now(),
    what          text NOT NULL CHECK (what IN (
                      'listed', 'delisted', 'relisted', 'renamed', 'contract_value_changed', 'tick_size_changed',
                      'state_changed', 'list_time_changed', 'expire_time_changed')),
    old           text,
    new           text
);
COMMENT ON TABLE instrument_log IS 'What the home exchange has changed of its instruments, as we saw it when we asked. It only grows.';
COMMENT ON COLUMN instrument_log.what IS 'listed: its list names it for the first time that we see; delisted: no longer; renamed: new is another instrument, the same coin at another scale, listed as this one went.';
CREATE INDEX instrument_log_of_an_instrument ON instrument_log (instrument_id, at);
CREATE INDEX instrument_log_by_time ON instrument_log (at);

-- Compares the row with what it was, under the row's own lock: told the same twice, or by two at once, it is one change.
-- An instrument that the list has never named has no past to compare with.
CREATE FUNCTION log_instrument() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = backfill, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    was instruments;
BEGIN
    IF NEW.last_listed_at IS NULL THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        was := OLD;
    END IF;
    IF was.last_listed_at IS NULL THEN
        INSERT INTO instrument_log (instrument_id, instrument, what, new) VALUES (NEW.id, NEW.symbol, 'listed', NEW.state);
        RETURN NULL;
    END IF;
    INSERT INTO instrument_log (instrument_id, instrument, what, old, new)
    SELECT NEW.id, NEW.symbol, c.what, c.old, c.new
    FROM (VALUES
        (CASE WHEN NEW.state = 'unlisted' THEN 'delisted' WHEN was.state = 'unlisted' THEN 'relisted'
              ELSE 'state_changed' END, was.state, NEW.state),
        ('contract_value_changed', was.contract_value::text, NEW.contract_value::text),
        ('tick_size_changed', was.tick_size::text, NEW.tick_size::text),
        ('list_time_changed', was.list_time_told::text, NEW.list_time_told::text),
        ('expire_time_changed', was.expire_time::text, NEW.expire_time::text)
    ) AS c (what, old, new)
    WHERE c.old IS DISTINCT FROM c.new;
    RETURN NULL;
END
$$;

CREATE TRIGGER log_instrument AFTER INSERT OR UPDATE ON instruments
FOR EACH ROW EXECUTE FUNCTION log_instrument();
