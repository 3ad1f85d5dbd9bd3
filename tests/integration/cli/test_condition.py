"""`backfill condition`: one row a day, counts by condition, and an exit code a script can use."""

from __future__ import annotations

import psycopg

from integration.cli.conftest import Cli


def test_days_are_pending_before_a_fill_and_usable_after_it(cli: Cli) -> None:
    cli("declare")
    before = cli("condition", "BTC-USDT", "1h", "--json")
    assert (before.code, set(before.document["counts"])) == (3, {"pending"})
    assert "still to be asked for" in before.document["conditions"][0]["reason"]

    cli("fill", "--symbols", "BTC-USDT")

    after = cli("condition", "BTC-USDT", "1h", "--json")
    assert set(after.document["counts"]) <= {"available", "pending"}  # a bar may have closed meanwhile
    day = after.document["conditions"][3]
    assert (day["condition"], day["expected"], day["held"], day["sources"]) == ("available", 24, 24, {"blofin": 24})
    assert {row["timeframe"] for row in cli("condition", "BTC-USDT", "--json").document["conditions"]} == {"1m", "1h"}
    told = cli("condition", "BTC-USDT", "1h", "--from", day["day"], "--to", f"{day['day']}T12:00")
    assert (told.code, "1 available" in told.out, "blofin 12" in told.out or "blofin 24" in told.out) == (0, True, True)


def test_a_series_that_is_not_wanted_is_named_and_reading_writes_nothing(cli: Cli, database_uri: str) -> None:
    cli("declare")
    assert cli("condition", "NOPE-USDT").code == 2
    assert cli("condition", "BTC-USDT", "7m").code == 2
    with psycopg.connect(database_uri, autocommit=True) as connection:
        connection.execute(
            "DROP ROLE IF EXISTS condition_reader; CREATE ROLE condition_reader LOGIN; "
            "GRANT USAGE ON SCHEMA backfill TO condition_reader; "
            "GRANT SELECT ON ALL TABLES IN SCHEMA backfill TO condition_reader"
        )
        try:
            reader = database_uri.replace("postgres@", "condition_reader@")
            assert cli("condition", "BTC-USDT", "1h", "--db", reader).code == 3
        finally:
            connection.execute("DROP OWNED BY condition_reader; DROP ROLE condition_reader")
