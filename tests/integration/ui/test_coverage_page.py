"""The overview and the lists over a real database; the guard has its tests in tests/unit/ui and tests/dags."""

from __future__ import annotations

import psycopg
import pytest
from fastapi import FastAPI

from backfill.domain.intervals import Interval
from backfill.storage import coverage_page
from backfill.storage.candle_store import CandleStore
from integration.helpers import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    NOON_MS,
    candles,
    moment,
    opens,
    store_bars,
    wanted_series,
)
from integration.ui.pages import answer, call, pages_of

RUNS = """
INSERT INTO backfill.gap_fill_runs (dag_id, run_id, task_id, series_id, symbol, timeframe, window_start,
    window_end, gaps_found, missing_before, coverage_before, sources, error)
SELECT 'candles_fill_gaps', 'r' || n % 2, 't', 11, 'BTC-USDT', '5m', '2026-01-01Z', '2026-01-02Z', n, 1, 0,
       '{"blofin": 7}', '<script>'
FROM generate_series(1, 60) AS n;
"""
DAY_AGO = NOON_MS - DAY_MS


@pytest.fixture
def app(database_uri: str) -> FastAPI:
    return pages_of(database_uri)


@pytest.fixture
def four(store: CandleStore) -> None:
    """A series of every state but doubtful: BTC lacks ten minutes of the morning, ETH the last half hour."""
    btc = wanted_series(store, "BTC-USDT", list_ms=0)
    store_bars(
        store,
        btc,
        candles([one for one in opens(DAY_AGO, NOON_MS) if not 0 <= one - (NOON_MS - 3 * HOUR_MS) < 10 * MINUTE_MS]),
    )
    store_bars(store, wanted_series(store, "ETH-USDT"), candles(opens(DAY_AGO, NOON_MS - 30 * MINUTE_MS)))
    store_bars(store, wanted_series(store, "ETH-USDT", "1h"), candles(opens(DAY_AGO, NOON_MS, HOUR_MS)))
    wanted_series(store, "YOUNG-USDT", list_ms=NOON_MS - 6 * HOUR_MS)


def test_the_worst_come_first_and_what_just_closed_is_not_missing(four: None, app: FastAPI) -> None:
    page = answer(app, "/api/coverage")
    columns = ("symbol", "timeframe", "state", "overdue_candles", "missing_candles")
    assert [tuple(row[name] for name in columns) for row in page["rows"]] == [
        ("BTC-USDT", "1m", "missing", 10, 10),
        ("YOUNG-USDT", "1m", "new", 300, 360),
        ("ETH-USDT", "1m", "pending", 0, 30),
        ("ETH-USDT", "1h", "whole", 0, 0),
    ]
    minutes, hours = page["totals"]
    assert (minutes["timeframe"], minutes["series"], minutes["whole"], minutes["missing"], minutes["new"]) == (
        "1m",
        3,
        1,
        1,
        1,
    )
    assert (minutes["overdue_candles"], minutes["pending_candles"]) == (310, 90)
    assert (hours["timeframe"], hours["series"], hours["whole"], hours["total_candles"]) == ("1h", 1, 1, 24)


def test_its_counts_are_those_of_sync_status(four: None, app: FastAPI) -> None:
    same = ("total_candles", "expected_candles", "coverage_pct", "oldest_data", "newest_data")
    for row in answer(app, "/api/coverage")["rows"]:
        status = answer(app, f"/sync-status/{row['symbol']}/{row['timeframe']}")
        assert {name: row[name] for name in same} == {name: status[name] for name in same}


def test_the_server_sorts_filters_and_pages(four: None, app: FastAPI) -> None:
    def names(**query: object) -> list[str]:
        return [f"{row['symbol']} {row['timeframe']}" for row in answer(app, "/api/coverage", **query)["rows"]]

    assert names(sort="symbol", descending=True, limit=2) == ["YOUNG-USDT 1m", "ETH-USDT 1m"]
    assert names(sort="symbol", descending=True, limit=2, offset=2) == ["ETH-USDT 1h", "BTC-USDT 1m"]
    assert names(search="eth", timeframe="1h") == ["ETH-USDT 1h"]
    assert names(status=["new", "whole"]) == ["YOUNG-USDT 1m", "ETH-USDT 1h"]
    assert names(search="%") == []
    assert answer(app, "/api/coverage", offset=100)["total"] == 4


def test_a_day_of_the_map_says_what_it_holds_and_lacks(four: None, app: FastAPI) -> None:
    ids = [row["series_id"] for row in answer(app, "/api/coverage")["rows"]]
    heat = answer(app, "/api/heat", series=ids, days=3)
    assert heat["first_day"] == "2026-03-08T00:00:00Z"
    days = {row["series_id"]: row for row in heat["rows"]}
    btc, young, eth, hours = (days[one] for one in ids)
    assert (btc["expected"], btc["held"], btc["missing"]) == ([0, 720, 720], [0, 720, 710], [0, 0, 10])
    assert (young["expected"], young["missing"]) == ([0, 0, 360], [0, 0, 300])
    assert (eth["held"], eth["missing"]) == ([0, 720, 690], [0, 0, 0])
    assert hours["held"] == [0, 12, 12]


def test_a_gap_names_each_source_and_what_it_answered(store: CandleStore, app: FastAPI) -> None:
    window = wanted_series(store, sources=("blofin", "kraken"))
    gone = Interval(NOON_MS - 5 * HOUR_MS, NOON_MS - 4 * HOUR_MS)
    held = [one for one in opens(DAY_AGO, NOON_MS) if not gone.start <= one < gone.end]
    store_bars(store, window, candles(held), absent=[gone])
    page = answer(app, "/api/gaps")
    (gap,) = page["rows"]
    assert (gap["symbol"], gap["gap_start"], gap["missing_candles"], gap["reason"]) == (
        "BTC-USDT",
        "2026-03-10T07:00:00Z",
        60,
        "not asked",
    )
    blofin, kraken = gap["asked"]
    assert (blofin["source"], blofin["answer"], blofin["grade"], blofin["leaves_reach_at"]) == (
        "blofin",
        "absent",
        "reported",
        None,
    )
    # Kraken serves its last 720 bars; ten are kept as a margin.
    assert (kraken["source"], kraken["answer"], kraken["leaves_reach_at"]) == (
        "kraken",
        "not answered",
        "2026-03-10T18:50:00Z",
    )
    assert answer(app, "/api/gaps", status="doubtful")["rows"] == []
    part = answer(app, "/api/gaps", symbol="BTC-USDT", **{"from": "2026-03-10T07:30:00Z", "to": "2026-03-10T07:40:00Z"})
    assert [row["missing_candles"] for row in part["rows"]] == [10]


def test_what_closed_within_the_hour_is_a_gap_only_when_asked_for(four: None, app: FastAPI) -> None:
    assert [row["missing_candles"] for row in answer(app, "/api/gaps", symbol="ETH-USDT")["rows"]] == []
    assert [row["missing_candles"] for row in answer(app, "/api/gaps", symbol="ETH-USDT", pending=True)["rows"]] == [30]


def test_runs_come_newest_first_in_pages_with_zoned_times_and_plain_text(database_uri: str, app: FastAPI) -> None:
    with psycopg.connect(database_uri) as connection:
        connection.execute(RUNS)
    first, second = answer(app, "/api/runs"), answer(app, "/api/runs", offset=50)
    assert [row["gaps_found"] for row in first["rows"] + second["rows"]] == list(range(60, 0, -1))
    assert (first["more"], second["more"]) == (True, False)
    assert first["rows"][0]["window_start"] == "2026-01-01T00:00:00Z"
    assert (first["rows"][0]["sources"], first["rows"][0]["error"]) == ({"blofin": 7}, "<script>")
    of_run = answer(app, "/api/runs", dag="candles_fill_gaps", dag_run="r1", task="t", map_index=-1, limit=200)["rows"]
    assert len(of_run) == 30
    assert answer(app, "/api/runs", dag_run="r1", map_index=3)["rows"] == []


def test_a_series_that_the_universe_does_not_name_has_not_started(app: FastAPI) -> None:
    status = answer(app, "/sync-status/NO-USDT/1m")
    assert (status["status"], status["total_candles"], status["newest_data"]) == ("not_started", 0, None)
    missing = call(app, "/api/series/NO-USDT/1m")
    assert (missing.status_code, missing.json()) == (404, {"detail": "no series NO-USDT 1m is kept"})


def test_a_query_that_writes_is_refused(database_uri: str, app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage_page, "query", lambda _name: "DELETE FROM backfill.series RETURNING id")
    assert call(app, "/api/sources").status_code == 503


def test_sources_have_their_hours(store: CandleStore, app: FastAPI) -> None:
    insert = (
        "INSERT INTO backfill.source_attempts (source_id, outcome, requests, rows, recorded_at) "
        "VALUES (%(id)s, 'candles', 3, 30, %(at)s), (%(id)s, 'GeoBlocked', 1, 0, %(at)s)"
    )
    store.connection.execute(insert, {"id": store.source_id("okx"), "at": moment("2026-03-10T10:59:00Z")})
    (hour,) = answer(app, "/api/sources")["hours"]
    (okx,) = [row for row in answer(app, "/api/sources")["rows"] if row["source"] == "okx"]
    assert (okx["answers_24h"], okx["errors_24h"]) == (3, 1)
    assert hour == {"source": "okx", "hour": "2026-03-10T10:00:00Z", "answers": 3, "errors": 1, "rows": 30}
    assert answer(app, "/api/sources", hours=1)["hours"] == []
