-- How a listing was proved, and what of the source's market a client needs to ask for its candles.
ALTER TABLE listings
    ADD COLUMN proved_by text,
    ADD COLUMN contract_value double precision,
    ADD COLUMN market jsonb;
COMMENT ON COLUMN listings.proved_by IS 'Whose candles the overlap was with: the home exchange, or another source while the home has none.';
COMMENT ON COLUMN listings.contract_value IS 'The instrument''s contract value when the listing was checked: when it changes the proof is due again.';

-- The markets a source lists, so that not every task asks for them.
CREATE TABLE venue_markets (
    source_id smallint PRIMARY KEY REFERENCES sources (id),
    markets   jsonb NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT now()
);
