-- Behind a transaction pooler a session's advisory lock would stay with a server session that others use. There a lock is
-- a row that runs out, renewed with every page. Who has a session of its own still takes the advisory lock, and looks here.
CREATE TABLE claims (
    lock_class integer NOT NULL,
    lock_key   integer NOT NULL,
    holder     uuid NOT NULL,
    claimed_by text NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (lock_class, lock_key)
);
COMMENT ON TABLE claims IS 'Locks of workers behind a transaction pooler, keyed like advisory locks; one past expires_at may be taken over.';

-- A role that may write candles needs no right to create tables: the months' partitions are made in the owner's name.
ALTER FUNCTION ensure_candle_partitions(timestamptz, timestamptz) SECURITY DEFINER;
REVOKE EXECUTE ON FUNCTION ensure_candle_partitions(timestamptz, timestamptz) FROM PUBLIC;
