"""One series: its chart in buckets, its candles, the story of a bar, and decisions."""

from __future__ import annotations

import csv
import importlib.util
import io
from typing import Any

import pytest
from fastapi import FastAPI

from backfill.domain.intervals import Interval
from backfill.domain.timeframes import utc
from backfill.storage.candle_store import CandleStore, QuarantinedRow
from backfill.storage.findings import Finding
from integration.helpers import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    NOON_MS,
    candles,
    opens,
    rows,
    store_bars,
    wanted_series,
)
from integration.ui.pages import answer, call, pages_of

DAY_AGO = NOON_MS - DAY_MS
CHART = "/api/chart/BTC-USDT/1m"


@pytest.fixture
def app(database_uri: str) -> FastAPI:
    return pages_of(database_uri)


@pytest.fixture
def btc(store: CandleStore) -> None:
    """A day: an hour from OKX, ten minutes missing, five that both sources lack, the last ten not there yet."""
    window = wanted_series(store, sources=("blofin", "okx"))
    by_okx = Interval(NOON_MS - 10 * HOUR_MS, NOON_MS - 9 * HOUR_MS)
    gone = Interval(NOON_MS - 3 * HOUR_MS, NOON_MS - 3 * HOUR_MS + 10 * MINUTE_MS)
    silent = Interval(NOON_MS - 5 * HOUR_MS, NOON_MS - 5 * HOUR_MS + 5 * MINUTE_MS)
    empty = [by_okx, gone, silent, Interval(NOON_MS - 10 * MINUTE_MS, NOON_MS)]
    bars = [one for one in opens(DAY_AGO, NOON_MS) if not any(start <= one < end for start, end in empty)]
    store_bars(store, window, candles(bars, close=101.0), absent=[silent])
    store_bars(store, window, candles(opens(*by_okx), close=99.5), source="okx", absent=[silent])


def test_a_chart_joins_bars_so_that_no_more_than_asked_for_come(btc: None, app: FastAPI) -> None:
    chart = answer(app, CHART, bars=100)
    assert (chart["bucket_ms"], chart["step_ms"]) == (15 * MINUTE_MS, MINUTE_MS)
    columns = chart["columns"]
    assert len(columns["open_ms"]) == 24 * 4
    assert sum(columns["bars"]) == 1440 - 10 - 5 - 10
    at = columns["open_ms"].index(NOON_MS - 5 * HOUR_MS)
    assert (columns["bars"][at], columns["open"][at], columns["close"][at], columns["volume"][at]) == (
        10,
        100.0,
        101.0,
        25.0,
    )
    assert set(columns["source"]) == {"blofin", "okx"}
    by_okx = [ms for ms, source in zip(columns["open_ms"], columns["source"], strict=True) if source == "okx"]
    assert by_okx == opens(NOON_MS - 10 * HOUR_MS, NOON_MS - 9 * HOUR_MS, 15 * MINUTE_MS)
    assert sum(columns["stand_ins"]) == 60


def test_a_chart_of_an_hour_has_single_bars(btc: None, app: FastAPI) -> None:
    chart = answer(app, CHART, **{"from": "2026-03-10T09:00:00Z", "to": "2026-03-10T10:00:00Z"})
    assert chart["bucket_ms"] == MINUTE_MS
    assert len(chart["columns"]["open_ms"]) == 50


def test_what_is_no_candle_is_shaded_by_its_kind(btc: None, app: FastAPI) -> None:
    bands = {band["kind"]: band for band in answer(app, CHART, bars=1500)["bands"]}
    assert {kind: band["candles"] for kind, band in bands.items()} == {"missing": 10, "reported": 5, "pending": 10}
    assert bands["missing"]["bands"] == [[NOON_MS - 3 * HOUR_MS, NOON_MS - 3 * HOUR_MS + 10 * MINUTE_MS]]
    wide = {band["kind"]: band["bands"] for band in answer(app, CHART, bars=100)["bands"]}
    assert wide["reported"] == [[NOON_MS - 5 * HOUR_MS, NOON_MS - 5 * HOUR_MS + 15 * MINUTE_MS]]


def test_marks_are_findings_outages_revisions_and_quarantine_in_view(
    btc: None, store: CandleStore, app: FastAPI
) -> None:
    at = NOON_MS - 2 * HOUR_MS
    (series_id,) = [row[0] for row in rows(store.connection, "SELECT id FROM backfill.series")]
    blofin = store.source_id("blofin")
    store.findings.record([
        Finding("cross_source", "disagree", series_id, blofin, at, at + MINUTE_MS, field="close", stored=1, other=2),
        Finding("source_outage", "disagree", None, blofin, at, at + HOUR_MS),
    ])  # fmt: skip
    marks = answer(app, CHART)["marks"]
    assert sorted((mark["what"], mark["title"]) for mark in marks) == [
        ("finding", "cross_source: disagree"),
        ("outage", "source_outage"),
    ]
    assert answer(app, CHART, **{"from": "2026-03-10T00:00:00Z", "to": "2026-03-10T01:00:00Z"})["marks"] == []


def test_candles_are_paged_without_a_gap_or_a_double(btc: None, app: FastAPI) -> None:
    opened, query = [], {"limit": 500}
    while True:
        page = answer(app, "/api/candles/BTC-USDT/1m", **query)
        opened += [row["open_time"] for row in page["rows"]]
        if page["next"] is None:
            break
        query["from"] = page["next"]
    assert len(opened) == len(set(opened)) == 1440 - 25
    assert opened == sorted(opened)


def test_candles_come_as_csv_too_with_empty_fields_for_what_is_not_known(btc: None, app: FastAPI) -> None:
    got = call(app, "/api/candles/BTC-USDT/1m", format="csv", limit=2)
    assert got.headers["content-type"].startswith("text/csv")
    assert got.headers["x-next"] == "2026-03-09T12:02:00+00:00"
    lines = list(csv.DictReader(io.StringIO(got.text)))
    assert [line["open_time"] for line in lines] == ["2026-03-09T12:00:00+00:00", "2026-03-09T12:01:00+00:00"]
    assert (lines[0]["close"], lines[0]["source"]) == ("101.0", "blofin")


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_pages_of_candles_join_as_tables_with_one_schema(form: str, btc: None, app: FastAPI) -> None:
    path, query = "/api/candles/BTC-USDT/1m", {"format": form, "limit": 1000}
    if importlib.util.find_spec("pyarrow") is None:
        got = call(app, path, **query)
        assert got.status_code == 422
        assert got.json()["detail"][0]["msg"] == f"{form} needs pyarrow where the API server runs: pip install pyarrow"
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    def table(**more: Any) -> tuple[Any, str | None]:
        got = call(app, path, **query, **more)
        read = pq.read_table if form == "parquet" else lambda file: pa.ipc.open_stream(file).read_all()
        return read(io.BytesIO(got.content)), got.headers.get("x-next")

    first, following = table()
    second, last = table(**{"from": following})
    empty, _ = table(**{"from": "2026-03-10T11:59:00Z"})
    assert last is None
    whole = pa.concat_tables([first, second, empty])
    assert (whole.num_rows, empty.num_rows) == (1440 - 25, 0)
    assert set(whole["source"].to_pylist()) == {"blofin", "okx"}
    assert whole["open_time"][0].as_py() == utc(DAY_AGO)


def test_the_conditions_of_a_series_come_in_pages_of_days(btc: None, app: FastAPI) -> None:
    first = answer(app, "/api/conditions/BTC-USDT/1m", days=1)
    assert first["next"] == "2026-03-10T00:00:00Z"
    second = answer(app, "/api/conditions/BTC-USDT/1m", days=1, **{"from": first["next"]})
    assert second["next"] is None
    days = [(row["day"], row["condition"], row["held"], row["stand_in"]) for row in first["rows"] + second["rows"]]
    assert days == [("2026-03-09", "available", 720, 0), ("2026-03-10", "pending", 695, 60)]
    assert second["rows"][0]["missing"] == 20
    assert second["rows"][0]["would_change"].startswith("the next fill")


def test_a_page_of_conditions_never_cuts_a_week(store: CandleStore, app: FastAPI) -> None:
    wanted_series(store, timeframe="1w", history_ms=8 * 7 * DAY_MS)
    days, query = [], {"days": 3}
    while True:
        page = answer(app, "/api/conditions/BTC-USDT/1w", **query)
        days += [row["day"] for row in page["rows"]]
        if page["next"] is None:
            break
        query["from"] = page["next"]
    whole = answer(app, "/api/conditions/BTC-USDT/1w")["rows"]
    assert days == [row["day"] for row in whole]
    assert len(days) >= 7


def test_an_unknown_series_is_named(btc: None, app: FastAPI) -> None:
    for name in ("series", "chart", "candles", "conditions"):
        got = call(app, f"/api/{name}/BTC-USD/1m")
        assert (got.status_code, got.json()) == (404, {"detail": "no series BTC-USD 1m is kept"})


def test_a_bar_tells_its_story_and_a_time_between_bars_names_the_nearest(btc: None, app: FastAPI) -> None:
    story = answer(app, "/api/explain/BTC-USDT/1m", open_time="2026-03-10T02:30:00Z")
    assert (story["state"], story["candle"]["given_by"]) == ("held", "stand_in")
    off = call(app, "/api/explain/BTC-USDT/1m", open_time="2026-03-10T02:30:10Z")
    assert off.status_code == 422
    (problem,) = off.json()["detail"]
    assert problem["loc"] == ["query", "open_time"]
    assert "the nearest opens at 2026-03-10T02:30Z" in problem["msg"]


def test_an_empty_span_is_refused(btc: None, app: FastAPI) -> None:
    got = call(app, CHART, **{"from": "2026-03-10T10:00:00Z", "to": "2026-03-10T09:00:00Z"})
    assert (got.status_code, got.json()["detail"][0]["loc"]) == (422, ["query", "from"])


def test_a_finding_is_dismissed_once_and_the_reason_is_kept(btc: None, store: CandleStore, app: FastAPI) -> None:
    (number,) = store.findings.record(
        [Finding("cross_source", "disagree", 1, store.source_id("okx"), NOON_MS, NOON_MS)]
    )
    body = {"ids": [number], "reason": "the venue said so"}
    assert call(app, "/api/findings/dismiss", method="POST", body=body).json() == {"decided": 1}
    again = call(app, "/api/findings/dismiss", method="POST", body=body)
    assert (again.status_code, str(number) in again.json()["detail"]) == (409, True)
    (row,) = answer(app, "/api/findings", status="dismissed")["rows"]
    assert row["detail"]["dismissed"] == "the venue said so"


def test_a_quarantined_row_is_discarded_by_a_decision(store: CandleStore, app: FastAPI) -> None:
    window = wanted_series(store)
    broken = QuarantinedRow(NOON_MS - HOUR_MS, "high_is_not_highest", {"h": "<script>"})
    store_bars(store, window, candles(opens(DAY_AGO, NOON_MS - HOUR_MS)), quarantined=[broken])
    (row,) = answer(app, "/api/quarantine", status="pending")["rows"]
    assert row["payload"] == {"h": "<script>"}
    body = {"ids": [row["id"]], "reason": "broken indeed"}
    assert call(app, "/api/quarantine/discard", method="POST", body=body).json() == {"decided": 1}
    assert answer(app, "/api/quarantine", status="pending")["rows"] == []
