-- "Held" says that a candle is stored. A row in quarantine on which no person has decided is pending.

ALTER TABLE quarantine DROP CONSTRAINT quarantine_status_check;
UPDATE quarantine SET status = 'pending' WHERE status = 'held';
ALTER TABLE quarantine ALTER COLUMN status SET DEFAULT 'pending';
ALTER TABLE quarantine ADD CONSTRAINT quarantine_status_check CHECK (status IN ('pending', 'released', 'discarded'));
COMMENT ON COLUMN quarantine.status IS 'pending: no person has decided yet; released: a person had it stored all the same; discarded: a person agrees that it is wrong.';
