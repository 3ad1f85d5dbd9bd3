"""The audit compares coarser bars with what the finer ones add up to, where both come from one primary."""

from __future__ import annotations

import pandas as pd
import pytest

from backfill.domain.next_timeframe import aggregate
from backfill.domain.timeframes import timeframe, utc
from backfill.jobs.maintain.audit import audit
from backfill.jobs.maintain.checks import timeframes
from backfill.storage.candle_store import CandleStore
from backfill.storage.findings import Finding, FindingsLog
from backfill.storage.series import SeriesWindow
from integration.helpers import DAY_MS, HOUR_MS, MINUTE_MS, NOON_MS, candles, opens, rows, store_bars, wanted_series
from integration.jobs.audited import AT

HOURS = 40
START_MS = NOON_MS - HOURS * HOUR_MS


def minutes(scale: float = 1.0) -> pd.DataFrame:
    """Minutes that move, without a draw of luck."""
    frame = candles(opens(START_MS, NOON_MS))
    place = pd.Series(range(len(frame)))
    frame["close"] = scale * (100 + (place * 7919 % 613) / 100)
    frame["open"] = frame["close"].shift(fill_value=100 * scale)
    frame["high"] = frame[["open", "close"]].max(axis=1) * 1.001
    frame["low"] = frame[["open", "close"]].min(axis=1) * 0.999
    frame["volume"] = 1.0 + place * 104729 % 97
    frame["quote_volume"] = frame["volume"] * frame["close"]
    return frame


def kept(store: CandleStore, name: str, frame: pd.DataFrame) -> SeriesWindow:
    window = wanted_series(store, "BTC-USDT", name, history_ms=2 * DAY_MS)
    columns = ["open_ms", "open", "high", "low", "close", "volume", "quote_volume"]
    store_bars(store, window, frame[columns].reset_index(drop=True))
    return window


@pytest.fixture
def fine(store: CandleStore) -> SeriesWindow:
    """Minutes, quarters and hours that agree."""
    frame = minutes()
    kept(store, "15m", aggregate(frame, timeframe("15m")))
    kept(store, "1h", aggregate(frame, timeframe("1h")))
    return kept(store, "1m", frame)


def change(store: CandleStore, window: SeriesWindow, open_ms: int, values: str) -> None:
    sql = f"UPDATE candles SET {values} WHERE series_id = %s AND open_time = %s"
    store.connection.execute(sql, (window.series_id, utc(open_ms)))


def test_bars_that_add_up_are_no_finding(store: CandleStore, fine: SeriesWindow) -> None:
    assert audit(store, at=AT).findings == []


def test_a_bucket_that_does_not_add_up_is_told_field_by_field_and_settled_when_it_does(
    store: CandleStore, fine: SeriesWindow
) -> None:
    change(store, fine, START_MS + 20 * MINUTE_MS, "high = high * 1.05, volume = volume + 1")

    report = audit(store, at=AT, repair=True)

    assert [(row["timeframe"], row["detail"]["timeframe"], row["start_time"]) for row in report.findings] == [
        ("1m", "15m", utc(START_MS + 15 * MINUTE_MS))
    ] * 2
    assert report.lines[0].startswith("BTC-USDT 1m timeframes: its bars make a high of ")
    assert (report.remaining, report.mended) == (2, 0)
    assert rows(store.connection, "SELECT field, verdict FROM findings ORDER BY 1") == [
        ("high", "disagree"),
        ("volume", "disagree"),
    ]

    change(store, fine, START_MS + 20 * MINUTE_MS, "high = high / 1.05, volume = volume - 1")
    assert audit(store, at=AT).findings == []
    assert rows(store.connection, "SELECT DISTINCT status FROM findings") == [("settled",)]


def test_buckets_with_a_hole_or_with_a_bar_of_somebody_else_are_not_judged(
    store: CandleStore, fine: SeriesWindow
) -> None:
    store.connection.execute(
        "DELETE FROM candles WHERE series_id = %s AND open_time = %s", (fine.series_id, utc(START_MS + MINUTE_MS))
    )
    manual = store.source_id("manual")
    change(store, fine, START_MS + 20 * MINUTE_MS, f"high = high * 1.05, source_id = {manual}")
    assert audit(store, at=AT).findings == []


def test_what_another_check_has_found_elsewhere_is_left_open(store: CandleStore, fine: SeriesWindow) -> None:
    before = START_MS - HOUR_MS
    FindingsLog(store.connection).record(
        [Finding("timeframes", "disagree", fine.series_id, 1, before, before + HOUR_MS, field="high")]
    )
    audit(store, at=AT)
    assert rows(store.connection, "SELECT status FROM findings") == [("open",)]


def test_another_instruments_bars_are_one_finding_with_its_name(store: CandleStore) -> None:
    frame = minutes()
    kept(store, "15m", aggregate(frame, timeframe("15m")))
    other = minutes(scale=0.4)
    other["close"] = other["close"].to_numpy()[::-1]
    other["high"], other["low"] = other[["open", "close"]].max(axis=1), other[["open", "close"]].min(axis=1)
    kept(store, "1m", other)

    (found,) = audit(store, at=AT).findings

    assert (found["kind"], found["timeframe"], found["verdict"]) == ("wrong_instrument", "1m", "disagree")
    assert found["detail"]["wrong"] == found["detail"]["of"] == HOURS * 4


def test_an_hour_shift_is_one_finding_with_its_name(store: CandleStore) -> None:
    frame = minutes()
    kept(store, "15m", aggregate(frame, timeframe("15m")))
    frame["open_ms"] += HOUR_MS
    kept(store, "1m", frame[frame["open_ms"] < NOON_MS])

    (found,) = audit(store, at=AT).findings

    assert (found["kind"], found["detail"]["timeframe"]) == ("hour_shift", "15m")


def test_a_long_history_is_compared_in_chunks(
    store: CandleStore, fine: SeriesWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeframes, "CHUNK_BARS", 100)
    changed = [START_MS + 20 * MINUTE_MS, START_MS + 101 * MINUTE_MS, NOON_MS - 61 * MINUTE_MS]
    for open_ms in changed:
        change(store, fine, open_ms, "volume = volume + 1")

    found = audit(store, at=AT).findings

    assert [row["start_time"] for row in found] == [utc(at - at % (15 * MINUTE_MS)) for at in changed]
