-- What a notifier has told and when, so that the same trouble is told once and then again only after a while.
CREATE TABLE alerts_told (
    told_by text NOT NULL,
    kind    text NOT NULL,
    subject text NOT NULL,
    told_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (told_by, kind, subject)
);
COMMENT ON TABLE alerts_told IS 'The subjects of alerts that a notifier has told of, such as `BTC-USDT 1m` below its objective.';
