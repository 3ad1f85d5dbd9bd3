"""BlofinCandlesOperator by itself: what one task does when it is run, cleared and run again."""

from __future__ import annotations

import json

import pytest

from backfill.errors import InvalidWindow, SymbolNotListed, UnknownSymbol
from backfill.paper.synthetic_market import SyntheticMarket

CANDLES = "/api/v1/market/candles"


@pytest.fixture
def fill(db, context):
    """Run a task and give its reports as (symbol, timeframe, status, inserted, requests), sorted."""
    from backfill.operators.blofin_candles import BlofinCandlesOperator

    def run(**arguments):
        reports = BlofinCandlesOperator(task_id="a_task", **arguments).execute(context)
        assert json.loads(json.dumps(reports)) == reports, "the reports travel as XCom"
        names = ("symbol", "timeframe", "status", "rows_inserted", "requests")
        return sorted(tuple(report[name] for name in names) for report in reports)

    return run


def bars(db):
    return db.execute("SELECT * FROM ohlcv ORDER BY symbol, timeframe, open_time").fetchall()


def test_it_fills_all_timeframes_of_its_symbol_and_no_other_symbol(fill):
    assert fill(symbol="BTC-USDT") == [
        ("BTC-USDT", "1h", "complete", 48, 1),
        ("BTC-USDT", "1m", "complete", 360, 1),
    ]


def test_a_second_run_changes_nothing_and_asks_nothing(fill, db, exchange):
    fill(symbol="BTC-USDT")
    before, asked = bars(db), exchange.requests.total
    assert fill(symbol="BTC-USDT") == [
        ("BTC-USDT", "1h", "complete", 0, 0),
        ("BTC-USDT", "1m", "complete", 0, 0),
    ]
    assert (bars(db), exchange.requests.total) == (before, asked)


def test_it_restores_exactly_the_bars_that_somebody_has_deleted(fill, db):
    fill(symbol="BTC-USDT")
    before = bars(db)
    holes = "'2025-03-02 18:00Z', '2025-03-02 20:31Z', '2025-03-02 20:32Z', '2025-03-02 23:59Z'"
    db.execute(f"DELETE FROM candles WHERE open_time IN ({holes})")  # of 1m, and the 1h bar of 18:00
    assert [report[3] for report in fill(symbol="BTC-USDT")] == [1, 4]
    assert bars(db) == before


@pytest.mark.parametrize("symbol", ["BTC-USDT,ETH-USDT", "ETH-USDT, BTC-USDT"])
def test_it_takes_a_batch_of_symbols(fill, symbol):
    assert [report[:4] for report in fill(symbol=symbol, timeframes="1h")] == [
        ("BTC-USDT", "1h", "complete", 48),
        ("ETH-USDT", "1h", "complete", 48),
    ]


@pytest.mark.parametrize("timeframes", ["1h,1m", ["1h", "1m"], "", None])
def test_timeframes_are_a_list_or_text_or_left_out(fill, timeframes):
    assert [report[1] for report in fill(symbol="BTC-USDT", timeframes=timeframes)] == ["1h", "1m"]


def test_a_window_is_iso_text_or_epoch_ms(fill):
    iso, ms = "2025-03-02T19:00+00:00", "1740945600000"  # 20:00Z
    assert fill(symbol="BTC-USDT", timeframes="1m", start=iso, end=ms) == [("BTC-USDT", "1m", "complete", 60, 1)]


def test_all_of_a_batch_is_done_before_the_error_of_one_symbol_is_raised(fill, db, declare):
    declare("GONE-USDT", "BTC-USDT", "ETH-USDT")
    with pytest.raises(SymbolNotListed, match="GONE-USDT"):
        fill(symbol="GONE-USDT,BTC-USDT,ETH-USDT")
    assert len(bars(db)) == 2 * (360 + 48)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"symbol": "NOPE-USDT"}, UnknownSymbol),
        ({"symbol": "BTC-USDT", "start": "2025-03-03", "end": "2025-03-03"}, InvalidWindow),
    ],
)
def test_it_checks_what_it_is_asked_for_itself(fill, exchange, arguments, error):
    with pytest.raises(error):
        fill(**arguments)
    assert exchange.requests.by_route[CANDLES] == 0


def test_a_symbol_that_has_left_the_universe_is_skipped_with_a_sentence_when_its_old_instance_is_cleared(
    fill, declare, exchange
):
    from airflow.providers.common.compat.sdk import AirflowSkipException

    fill(symbol="BTC-USDT,ETH-USDT", timeframes="1h")
    declare("BTC-USDT")
    asked = exchange.requests.by_route[CANDLES]
    sentence = "ETH-USDT has left the universe: its candles stay, and it is not asked for"
    with pytest.raises(AirflowSkipException, match=f"^{sentence}$"):
        fill(symbol="ETH-USDT")
    assert exchange.requests.by_route[CANDLES] == asked
    assert fill(symbol="ETH-USDT,BTC-USDT", timeframes="1h") == [("BTC-USDT", "1h", "complete", 0, 0)]


def test_a_task_says_one_sentence_for_each_page_and_series(fill, caplog):
    with caplog.at_level("INFO", logger="backfill"):
        fill(symbol="BTC-USDT", timeframes="1h")
    said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("BTC-USDT 1h")]
    assert said == [
        "BTC-USDT 1h: blofin gave 1,440 rows before 2025-03-03 00:00: 48 inserted",
        "BTC-USDT 1h complete: 0 of 48 bars still missing, 48 stored (blofin 48), 1 request",
    ]


def test_a_batch_says_which_of_its_series_are_left_to_another_source(fill, tmp_path, monkeypatch, capfd, caplog):
    monkeypatch.setenv("BACKFILL_OKX_URL", "http://127.0.0.1:9")  # no one listens
    with (tmp_path / "universe.yaml").open("a") as universe:
        universe.write("overrides: {ETH-USDT: {sources: [okx]}}\n")
    caplog.set_level("INFO")
    assert [report[0] for report in fill(symbol="BTC-USDT,ETH-USDT", timeframes="1h")] == ["BTC-USDT"]
    assert (
        "left to other tasks, by their primary source: ETH-USDT 1h (okx)" in "".join(capfd.readouterr()) + caplog.text
    )


@pytest.mark.parametrize("market", [SyntheticMarket(quiet_share=0.2, quiet_bars="absent")], ids=["with holes"])
def test_what_the_exchange_has_denied_is_asked_for_again_only_on_demand(fill):
    ((*_, status, inserted, requests),) = fill(symbol="BTC-USDT", timeframes="1m")
    assert (status, requests) == ("complete", 2)  # a page, and one of longer bars that say whether somebody traded
    assert inserted < 360
    again = {recheck: fill(symbol="BTC-USDT", timeframes="1m", recheck=recheck) for recheck in (False, "False")}
    assert [report[4] for reports in again.values() for report in reports] == [0, 0]
    for recheck in (True, "True"):  # as an argument, and as a template gives it
        (report,) = fill(symbol="BTC-USDT", timeframes="1m", recheck=recheck)
        assert report[:4] == ("BTC-USDT", "1m", "complete", 0)
        assert report[4] > 0


def test_a_try_that_was_killed_is_marked_by_the_next_one(fill, db):
    fill(symbol="BTC-USDT", timeframes="1h")
    db.execute("UPDATE gap_fill_runs SET status = 'running', finished_at = NULL")
    fill(symbol="BTC-USDT", timeframes="1h")
    states = db.execute("SELECT status FROM gap_fill_runs ORDER BY id").fetchall()
    assert [row["status"] for row in states] == ["abandoned", "complete"]
