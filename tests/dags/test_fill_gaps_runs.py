"""Whole runs of ``candles_fill_gaps`` in this process, against a paper Blofin."""

from __future__ import annotations

import re

import pytest

from airflow_line import ON_AIRFLOW_2
from backfill.errors import ExchangeUnreachable, SymbolNotListed
from backfill.paper.limits import NO_LIMITS
from backfill.paper.venues import paper_exchange

CANDLES = "/api/v1/market/candles"
TRIES_OF_ONE_QUESTION = 3


def held(db):
    """Symbol and timeframe → stored candles."""
    rows = db.execute("SELECT symbol, timeframe, count(*) AS bars FROM ohlcv GROUP BY symbol, timeframe").fetchall()
    return {(row["symbol"], row["timeframe"]): row["bars"] for row in rows}


def log(db, *columns):
    """What the run log says of attempts to fill, by symbol, the oldest row first."""
    rows = db.execute("SELECT * FROM gap_fill_runs WHERE validation IS NULL ORDER BY symbol, id")
    return [tuple(row[name] for name in columns) for row in rows]


def test_a_run_fills_every_series_and_the_next_one_has_nothing_to_do(db, run_dag):
    first = run_dag()
    assert first.state == "success"
    assert first.tasks == {
        "detect_gaps": "success",
        "fill_from_blofin BTC-USDT": "success",
        "fill_from_blofin ETH-USDT": "success",
        "detect_leftovers": "success",
        "fill_from_fallback": "skipped",
        "validate BTC-USDT": "success",
        "validate ETH-USDT": "success",
        "report": "success",
        "announce": "success",
    }
    bars = {("BTC-USDT", "1m"): 360, ("BTC-USDT", "1h"): 48, ("ETH-USDT", "1m"): 360, ("ETH-USDT", "1h"): 48}
    assert held(db) == bars
    logged = sorted(log(db, "symbol", "timeframe", "status", "rows_inserted", "missing_after"))
    assert logged == sorted((*series, "complete", count, 0) for series, count in bars.items())

    second = run_dag()
    assert second.state == "success"
    if not ON_AIRFLOW_2:
        assert re.fullmatch(r"4 series complete as of \d\d:\d\d UTC: 4 filled from blofin", first.note)
        assert second.note == "nothing was missing"
    assert second.tasks == {
        "detect_gaps": "success",
        "fill_from_blofin": "skipped",
        "detect_leftovers": "success",
        "fill_from_fallback": "skipped",
        "validate": "skipped",
        "report": "skipped",
        "announce": "skipped",
    }
    assert len(log(db, "id")) == len(logged)
    validated = db.execute(
        "SELECT task_id, status, count(*) AS n FROM gap_fill_runs WHERE validation IS NOT NULL GROUP BY 1, 2"
    )
    assert [tuple(row.values()) for row in validated] == [("validate", "complete", len(bars))]


def test_the_run_log_names_the_task_instance(db, run_dag):
    run = run_dag({"timeframes": ["1h"]})
    assert log(db, "dag_id", "run_id", "task_id", "map_index", "try_number", "symbol") == [
        ("candles_fill_gaps", run.run_id, "fill_from_blofin", 0, 1, "BTC-USDT"),
        ("candles_fill_gaps", run.run_id, "fill_from_blofin", 1, 1, "ETH-USDT"),
    ]


def test_a_run_keeps_to_the_symbols_timeframes_and_window_it_is_given(db, run_dag):
    start, end = "2025-03-02T19:00:00Z", "2025-03-02T21:00:00+01:00"
    run = run_dag({"symbols": ["ETH-USDT"], "timeframes": ["1m"], "start": start, "end": end})
    assert run.tasks == {
        "detect_gaps": "success",
        "fill_from_blofin ETH-USDT": "success",
        "detect_leftovers": "success",
        "fill_from_fallback": "skipped",
        "validate ETH-USDT": "success",
        "report": "success",
        "announce": "success",
    }
    span = db.execute("SELECT symbol, timeframe, min(open_time), max(open_time), count(*) FROM ohlcv GROUP BY 1, 2")
    assert [(*map(str, row.values()),) for row in span] == [
        ("ETH-USDT", "1m", "2025-03-02 19:00:00+00:00", "2025-03-02 19:59:00+00:00", "60")
    ]


@pytest.mark.parametrize(
    ("conf", "sentence"),
    [
        ({"symbols": ["NOPE-USDT"]}, "unknown symbol 'NOPE-USDT': not in the universe"),
        ({"start": "2025-03-02T20:00Z", "end": "2025-03-02T19:00Z"}, "the start is not before the end"),
        ({"end": "2999-01-01T00:00Z"}, "it ends in the future"),
        pytest.param(
            {"start": "the day before yesterday"},
            "start: 'the day before yesterday' is not a time",
            marks=pytest.mark.skipif(ON_AIRFLOW_2, reason="Airflow 2 checks the form's times itself"),
        ),
    ],
    ids=["unknown symbol", "upside down", "future", "garbage"],
)
def test_a_run_that_cannot_be_done_as_asked_fails_at_once_and_writes_no_candle(
    conf, sentence, db, exchange, run_dag, capfd, caplog
):
    run = run_dag(conf)
    assert run.state == "failed"
    assert run.tasks == {
        "detect_gaps": "failed",
        "fill_from_blofin": "upstream_failed",
        "detect_leftovers": "success",
        "fill_from_fallback": "skipped",
        "validate": "upstream_failed",
        "report": "failed",
        "announce": "skipped",
    }
    sensors, reports = run.errors  # one each: it is not tried again
    assert sentence in str(sensors)
    assert "\n" not in str(sensors)
    assert str(reports) == str(sensors)
    if not ON_AIRFLOW_2:
        assert run.note == str(sensors)
        assert "Traceback" not in "".join(capfd.readouterr()) + caplog.text
    assert (held(db), log(db, "id"), exchange.requests.by_route[CANDLES]) == ({}, [], 0)


def test_a_symbol_that_the_exchange_lacks_fails_alone_and_is_named_by_the_report(db, declare, run_dag):
    declare("BTC-USDT", "GONE-USDT", "ETH-USDT")
    run = run_dag()
    assert run.state == "failed"
    assert run.tasks == {
        "detect_gaps": "success",
        "fill_from_blofin BTC-USDT": "success",
        "fill_from_blofin ETH-USDT": "success",
        "fill_from_blofin GONE-USDT": "failed",
        "detect_leftovers": "success",
        "fill_from_fallback": "skipped",
        "validate BTC-USDT": "success",
        "validate ETH-USDT": "success",
        "validate GONE-USDT": "success",
        "report": "failed",
        "announce": "success",
    }
    gone, reported = run.errors  # one each: asking again would not make it listed
    assert isinstance(gone, SymbolNotListed)
    assert "GONE-USDT 1m failed: blofin: GONE-USDT" in str(reported)
    assert "BTC-USDT" not in str(reported)
    assert {symbol for symbol, _ in held(db)} == {"BTC-USDT", "ETH-USDT"}
    assert {status for symbol, status in log(db, "symbol", "status") if symbol == "GONE-USDT"} == {"failed"}


def test_a_task_is_tried_again_after_an_outage_and_the_log_keeps_both_tries(db, unwell, run_dag):
    unwell.errors_left["ETH-USDT"] = TRIES_OF_ONE_QUESTION
    run = run_dag({"timeframes": ["1m"]})
    assert (run.state, run.errors) == ("success", [])
    assert log(db, "symbol", "try_number", "status", "rows_inserted") == [
        ("BTC-USDT", 1, "complete", 360),
        ("ETH-USDT", 1, "failed", 0),
        ("ETH-USDT", 2, "complete", 360),
    ]


def test_a_run_fails_once_an_outage_has_outlasted_all_tries(db, unwell, run_dag):
    unwell.errors_left["ETH-USDT"] = 1_000_000
    run = run_dag({"timeframes": ["1h"]})
    assert run.tasks["fill_from_blofin ETH-USDT"] == "failed"
    assert run.state == "failed"
    ended, reported = run.errors
    assert isinstance(ended, ExchangeUnreachable)
    assert str(reported).startswith("ETH-USDT 1h failed: blofin: /api/v1/market/candles: code 500")
    assert [try_number for symbol, try_number in log(db, "symbol", "try_number") if symbol == "ETH-USDT"] == [1, 2, 3]


def test_without_a_connection_to_the_candles_the_run_says_which_one_to_add(airflow_home, run_dag):
    run = run_dag()
    assert run.state == "failed"
    assert str(run.errors[0]) == (
        "Airflow has no connection 'candles_db': add one of type Postgres, or set AIRFLOW_CONN_CANDLES_DB"
    )


def test_a_database_that_is_not_there_is_named_without_its_password(db, run_dag, monkeypatch, capfd, caplog):
    monkeypatch.setenv("AIRFLOW_CONN_CANDLES_DB", "postgresql://quant:geh31m@127.0.0.1:1/candles")
    run = run_dag()
    assert "postgresql://quant@127.0.0.1:1/candles" in str(run.errors[0])
    printed = capfd.readouterr()
    assert "geh31m" not in printed.out + printed.err + caplog.text + str(run.errors)


def test_where_another_exchange_is_the_primary_the_group_of_a_symbol_fills_from_it(
    db, run_dag, exchange, declare, monkeypatch, tmp_path
):
    declare("BTC-USDT", "ETH-USDT")
    universe = tmp_path / "universe.yaml"
    universe.write_text(universe.read_text() + "sources: [okx]\n")
    with paper_exchange("okx", exchange.market, limits=NO_LIMITS) as okx:
        monkeypatch.setenv("BACKFILL_OKX_URL", okx.url)
        run = run_dag()
        asked_blofin = exchange.requests.total

        assert (run.state, asked_blofin) == ("success", 0)
        assert run.tasks["fill_from_blofin BTC-USDT"] == "skipped"
        assert run.tasks["fill_from_fallback BTC-USDT"] == "success"
        assert run.tasks["validate BTC-USDT"] == "success"
        assert set(held(db).values()) == {360, 48}
        assert db.execute("SELECT DISTINCT source FROM ohlcv").fetchall() == [{"source": "okx"}]

        db.execute("DELETE FROM candles")
        okx.faults.on("error_503")
        run = run_dag()

    assert run.state == "failed", "a lone primary that fails is no complete series"
    assert (held(db), run.tasks["report"]) == ({}, "failed")


def test_a_misspelt_parameter_fills_nothing_instead_of_the_whole_universe(db, run_dag):
    run = run_dag({"symbol": "BTC-USDT"})
    assert run.state == "failed"
    assert run.tasks["detect_gaps"] == "failed"
    assert len(run.errors) == 2
    assert all("did you mean 'symbols'" in str(error) for error in run.errors)
    assert db.execute("SELECT count(*) AS n FROM series").fetchone()["n"] == 0
    assert held(db) == {}
