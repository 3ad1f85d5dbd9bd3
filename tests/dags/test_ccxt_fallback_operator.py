"""CcxtFallbackOperator by itself, and the alert that the report raises when all external sources are out."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from backfill.paper.limits import NO_LIMITS
from backfill.paper.venues import paper_exchange

UNIVERSE = """
instruments: [BTC-USDT, ETH-USDT]
sources: [blofin, bybit, okx]
timeframes:
  1m: {since: 2025-03-02T18:00Z, until: 2025-03-03}
"""


@pytest.fixture
def bybit(market, monkeypatch):
    with paper_exchange("bybit", market, limits=NO_LIMITS) as running:
        monkeypatch.setenv("AIRFLOW_CONN_BYBIT_DEFAULT", f"generic://{quote(running.url, safe='')}")
        yield running


@pytest.fixture
def okx(market, monkeypatch):
    with paper_exchange("okx", market, limits=NO_LIMITS) as running:
        monkeypatch.setenv("AIRFLOW_CONN_OKX_DEFAULT", f"generic://{quote(running.url, safe='')}")
        yield running


@pytest.fixture
def filled(db, context, bybit, okx, tmp_path):
    """Blofin has given all; then it goes away."""
    from backfill.operators.blofin_candles import BlofinCandlesOperator

    (tmp_path / "universe.yaml").write_text(UNIVERSE)
    BlofinCandlesOperator(task_id="a_task", symbol="BTC-USDT,ETH-USDT").execute(context)
    return db


@pytest.fixture
def fall_back(filled, context):
    from backfill.operators.ccxt_fallback import CcxtFallbackOperator

    def run(**arguments):
        return CcxtFallbackOperator(task_id="a_task", **arguments).execute(context)

    return run


def lose(db, symbol, minutes):
    db.execute(
        "DELETE FROM candles USING series, instruments AS i WHERE series_id = series.id AND instrument_id = i.id "
        "AND symbol = %s AND open_time >= '2025-03-03'::timestamptz - %s * interval '1 minute'",
        (symbol, minutes),
    )


def test_it_skips_itself_when_nothing_is_left(fall_back, bybit):
    from airflow.providers.common.compat.sdk import AirflowSkipException

    with pytest.raises(AirflowSkipException, match="nothing is left"):
        fall_back(symbol="BTC-USDT")
    assert bybit.requests.total == 0


def test_only_symbols_with_something_left_for_others_are_handed_to_it(filled, context, bybit, exchange):
    from backfill.operators.leftovers import LeftoversOperator

    def left(**arguments):
        return LeftoversOperator(task_id="detect_leftovers", **arguments).execute(context)

    assert left(symbol="BTC-USDT,ETH-USDT") == []
    asked = exchange.requests.total
    lose(filled, "ETH-USDT", 30)
    assert left(symbol="BTC-USDT,ETH-USDT") == ["ETH-USDT"]
    assert left(symbol="BTC-USDT,ETH-USDT", sources="blofin") == []  # it has had its turn
    assert left(symbol="") == []  # the sensor has found none: not all
    assert (exchange.requests.total, bybit.requests.total) == (asked, 0)


def test_it_fills_what_is_left_and_says_from_whom(fall_back, filled, exchange):
    lose(filled, "BTC-USDT", 30)
    asked = exchange.requests.total
    (report,) = fall_back(symbol="BTC-USDT,ETH-USDT")
    assert (report["symbol"], report["status"], report["sources"]) == ("BTC-USDT", "complete", {"bybit": 30})
    assert exchange.requests.by_route["/api/v1/market/candles"] == 2  # blofin had its turn before
    assert exchange.requests.total == asked


def test_it_asks_the_sources_that_are_named_in_their_order(fall_back, filled, bybit):
    lose(filled, "BTC-USDT", 30)
    (report,) = fall_back(symbol="BTC-USDT", sources="okx, bybit")
    assert (report["sources"], bybit.requests.total) == ({"okx": 30}, 0)


def test_broken_sources_fail_no_task(fall_back, filled, bybit, okx):
    lose(filled, "BTC-USDT", 30)
    bybit.faults.on("geo_block")
    okx.faults.on("geo_block")
    (report,) = fall_back(symbol="BTC-USDT")
    assert (report["status"], report["missing_after"]) == ("failed", 30)
    assert report["error"].count("not served in this country") == 2


def test_the_failure_of_a_series_only_source_is_tried_again(fall_back, filled, bybit, tmp_path):
    from backfill.errors import ExchangeUnreachable

    (tmp_path / "universe.yaml").write_text(UNIVERSE.replace("[blofin, bybit, okx]", "[bybit]"))
    lose(filled, "BTC-USDT", 30)
    lose(filled, "ETH-USDT", 30)
    bybit.faults.on("error_503")
    with pytest.raises(ExchangeUnreachable, match="bybit"):
        fall_back(symbol="BTC-USDT")
    bybit.faults.off()
    filled.execute("UPDATE source_health SET open_until = now() WHERE open_until IS NOT NULL")
    reports = fall_back(symbol="ETH-USDT")
    assert [(report["symbol"], report["status"]) for report in reports] == [("ETH-USDT", "complete")]


def test_when_all_external_sources_have_failed_for_hours_the_notifiers_are_told(fall_back, filled, bybit, okx, context):
    from airflow.providers.common.compat.sdk import AirflowFailException

    from backfill.operators.report import ReportOperator

    told = []
    context["ti"].xcom_pull = lambda task_ids: ["BTC-USDT"]
    report = ReportOperator(task_id="report", on_outage=[told.append])
    test_broken_sources_fail_no_task(fall_back, filled, bybit, okx)
    with pytest.raises(AirflowFailException):
        report.execute(context)
    assert told == []

    filled.execute("UPDATE source_health SET first_failure_at = now() - interval '7 hours' WHERE state = 'open'")
    with pytest.raises(AirflowFailException):
        report.execute(context)
    (seen,) = told
    assert seen["ti"] is context["ti"]
    assert seen["outage"].startswith("every external source has failed for 7.0 hours: ")
    assert "bybit" in seen["outage"]
    assert "okx" in seen["outage"]
