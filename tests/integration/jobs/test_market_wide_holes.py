"""A bar that most series of a source lack is an outage of the source."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pandas as pd
import pytest

from backfill.domain.intervals import Interval
from backfill.domain.timeframes import utc
from backfill.jobs.status.market_wide_holes import market_wide_holes
from backfill.storage.candle_store import CandleStore
from backfill.storage.findings import Finding, FindingsLog
from backfill.storage.series import SeriesWindow
from integration.helpers import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    NOON_MS,
    NOW_MS,
    candles,
    opens,
    rows,
    store_bars,
    wanted_series,
)

AT, SINCE_MS = utc(NOW_MS), NOON_MS - 6 * HOUR_MS
COINS = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT")
OUTAGE = Interval(NOON_MS - 2 * HOUR_MS, NOON_MS - 2 * HOUR_MS + 20 * MINUTE_MS)


def found(store: CandleStore, since_ms: int = SINCE_MS) -> list[Finding]:
    return market_wide_holes(store, at=AT, since=utc(since_ms))


def with_flat(frame: pd.DataFrame, flat: Interval) -> pd.DataFrame:
    """The frame with bars as exchanges write them when they stand still."""
    still = frame["open_ms"].between(flat.start, flat.end, inclusive="left")
    frame.loc[still, ["open", "high", "low", "close"]] = 100.0
    frame.loc[still, ["volume", "quote_volume"]] = 0.0
    return frame


def coin(
    store: CandleStore,
    symbol: str,
    *,
    absent: Sequence[Interval] = (),
    flat: Sequence[Interval] = (),
    start_ms: int = NOON_MS - 6 * HOUR_MS,
    list_ms: int | None = None,
    source: str = "blofin",
) -> SeriesWindow:
    """Six hours of minutes of which the source has denied some, and has told others as flat."""
    window = wanted_series(store, symbol, history_ms=DAY_MS, list_ms=list_ms, sources=("blofin", "okx"))
    denied = {ms for interval in absent for ms in opens(*interval)}
    frame = candles(at for at in opens(start_ms, NOON_MS) if at not in denied)
    for interval in flat:
        frame = with_flat(frame, interval)
    store_bars(store, window, frame, absent=list(absent), source=source)
    return window


def test_minutes_that_most_series_lack_are_one_outage(store: CandleStore) -> None:
    for symbol in COINS[:3]:
        coin(store, symbol, absent=[OUTAGE])
    coin(store, COINS[3])

    (outage,) = found(store)

    assert (outage.kind, outage.verdict, outage.status, outage.series_id) == (
        "source_outage",
        "outage",
        "settled",
        None,
    )
    assert (outage.start_ms, outage.end_ms, outage.source_id) == (*OUTAGE, store.source_id("blofin"))
    assert outage.detail == {
        "timeframe": "1m",
        "series": 3,
        "of": 4,
        "symbols": ["BTC-USDT", "ETH-USDT", "SOL-USDT"],
        "says": "blofin has no 1m bars of 3 of 4 series, 2026-03-10 10:00 to 2026-03-10 10:20",
    }
    assert found(store) == [outage]
    assert rows(store.connection, "SELECT status, times_seen FROM findings") == [("settled", 2)]


def test_flat_bars_without_volume_and_absent_ones_make_one_outage_together(store: CandleStore) -> None:
    first, second = (
        Interval(OUTAGE.start, OUTAGE.start + 10 * MINUTE_MS),
        Interval(OUTAGE.start + 10 * MINUTE_MS, OUTAGE.end),
    )
    coin(store, COINS[0], flat=[OUTAGE])
    coin(store, COINS[1], flat=[first], absent=[second])
    coin(store, COINS[2], absent=[OUTAGE])

    (outage,) = found(store)

    assert (outage.start_ms, outage.end_ms, outage.detail["series"]) == (*OUTAGE, 3)


@pytest.mark.parametrize(
    ("lacking", "trading"),
    [(2, 0), (2, 1), (3, 4)],
)
def test_too_few_series_are_no_outage(store: CandleStore, lacking: int, trading: int) -> None:
    for n in range(lacking):
        coin(store, f"LACKS{n}-USDT", absent=[OUTAGE])
    for n in range(trading):
        coin(store, f"TRADES{n}-USDT")
    assert found(store) == []


def test_coins_that_often_rest_say_nothing_by_resting(store: CandleStore) -> None:
    for n, symbol in enumerate(COINS):  # each a third of the time, and all of them in these twenty minutes
        resting = [Interval(at, at + MINUTE_MS) for at in opens(SINCE_MS + n * MINUTE_MS, NOON_MS, 3 * MINUTE_MS)]
        coin(store, symbol, flat=[OUTAGE, *resting])
    coin(store, "DOGE-USDT")
    coin(store, "PEPE-USDT", flat=[OUTAGE])
    assert found(store) == []


def test_instruments_that_are_not_listed_yet_do_not_count(store: CandleStore) -> None:
    for symbol in COINS[:3]:
        coin(store, symbol, absent=[OUTAGE])
    later = OUTAGE.end + HOUR_MS
    for n in range(5):  # the primary source denies what was before them; of some it does not say when they were listed
        coin(
            store,
            f"YOUNG{n}-USDT",
            absent=[Interval(SINCE_MS, later)],
            start_ms=later,
            list_ms=later + 17_000 if n % 2 else None,
        )

    (outage,) = found(store)

    assert (outage.start_ms, outage.end_ms, outage.detail["series"], outage.detail["of"]) == (*OUTAGE, 3, 3)


def test_bars_that_nobody_was_asked_for_say_nothing(store: CandleStore) -> None:
    for symbol in COINS[:3]:
        coin(store, symbol, absent=[OUTAGE])
    for n in range(5):
        coin(store, f"LATE{n}-USDT", start_ms=OUTAGE.end)
    (outage,) = found(store)
    assert (outage.start_ms, outage.detail["of"]) == (OUTAGE.start, 3)


def test_sources_and_timeframes_are_told_apart(store: CandleStore) -> None:
    for n, symbol in enumerate(COINS):
        coin(store, symbol, absent=[OUTAGE], source="blofin" if n < 2 else "okx")
    assert found(store) == []


def test_bars_from_another_source_do_not_hide_the_homes_outage(store: CandleStore) -> None:
    for symbol in COINS[:3]:
        window = coin(store, symbol, absent=[OUTAGE])
        store_bars(store, window, candles(opens(*OUTAGE)), source="okx")
    (outage,) = found(store)
    assert (outage.source_id, outage.start_ms) == (store.source_id("blofin"), OUTAGE.start)


def test_an_outage_that_began_before_the_span_stays_the_one_it_was(store: CandleStore) -> None:
    for symbol in COINS[:3]:
        coin(store, symbol, absent=[OUTAGE])
    (outage,) = found(store)

    assert found(store, OUTAGE.start + 5 * MINUTE_MS) == [outage]
    assert len(rows(store.connection, "SELECT FROM findings")) == 1


def test_what_an_outage_explains_in_single_series_is_settled(store: CandleStore) -> None:
    windows = [coin(store, symbol, absent=[OUTAGE]) for symbol in COINS[:3]]
    inside, outside = (OUTAGE.start + MINUTE_MS, OUTAGE.end), (OUTAGE.end, OUTAGE.end + MINUTE_MS)
    FindingsLog(store.connection).record(
        [
            Finding("flat_bars", "disagree", windows[0].series_id, 1, *inside),
            Finding("lost_bars", "lost", windows[1].series_id, None, *inside),
            Finding("timeframes", "disagree", windows[1].series_id, 1, *inside),
            Finding("flat_bars", "disagree", windows[0].series_id, 1, *outside),
            Finding("flat_bars", "disagree", windows[0].series_id, 2, *inside),
        ]
    )

    found(store)

    (outage_id,) = rows(store.connection, "SELECT id FROM findings WHERE kind = 'source_outage'")[0]
    explained = (
        "SELECT kind, detail->'outage' FROM findings WHERE series_id IS NOT NULL AND status = 'settled' ORDER BY kind"
    )
    assert rows(store.connection, explained) == [("flat_bars", outage_id), ("lost_bars", outage_id)]


def test_a_halt_explains_what_was_found_in_coins_that_went_quiet_before_it_and_jumped_after_it(
    store: CandleStore,
) -> None:
    early = Interval(OUTAGE.start - 4 * MINUTE_MS, OUTAGE.end)
    first = Interval(OUTAGE.start - 5 * MINUTE_MS, OUTAGE.start - 4 * MINUTE_MS)
    series = [coin(store, symbol, flat=[OUTAGE]) for symbol in COINS[:3]]
    quiet, trading = coin(store, COINS[3], flat=[first, early]), coin(store, "DOGE-USDT")
    after = (OUTAGE.end, OUTAGE.end + MINUTE_MS)
    explained = [
        Finding("flat_bars", "suspect", quiet.series_id, 1, *first),
        Finding("flat_bars", "suspect", quiet.series_id, 1, *early),
        Finding("price_jump", "suspect", quiet.series_id, 1, *after),
        Finding("continuity", "suspect", series[0].series_id, 1, OUTAGE.end - MINUTE_MS, OUTAGE.end + MINUTE_MS),
    ]
    an_hour_ago = (OUTAGE.start - HOUR_MS, OUTAGE.start - HOUR_MS + MINUTE_MS)
    left = [
        Finding("flat_bars", "suspect", trading.series_id, 1, *first),
        Finding("price_jump", "suspect", trading.series_id, 1, *after),
        Finding("flat_bars", "suspect", quiet.series_id, 1, *an_hour_ago),
        Finding("price_jump", "suspect", quiet.series_id, 1, OUTAGE.end + HOUR_MS, OUTAGE.end + HOUR_MS + MINUTE_MS),
    ]
    ids = FindingsLog(store.connection).record([*explained, *left])

    found(store)

    statuses = dict(rows(store.connection, "SELECT id, status FROM findings WHERE series_id IS NOT NULL"))
    assert [statuses[one] for one in ids] == ["settled"] * len(explained) + ["open"] * len(left)


def test_thousands_of_intervals_are_swept_in_moments(store: CandleStore) -> None:
    every_other = [
        Interval(at, at + MINUTE_MS) for at in opens(SINCE_MS + MINUTE_MS, NOON_MS - MINUTE_MS, 2 * MINUTE_MS)
    ]
    for n in range(20):
        coin(store, f"COIN{n:02}-USDT", absent=every_other)
    began = time.monotonic()
    assert len(found(store)) == len(every_other)
    assert time.monotonic() - began < 60
