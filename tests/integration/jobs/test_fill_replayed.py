"""A source with holes of its own: the database ends equal to it, holes included, and nobody asks for a hole twice."""

from __future__ import annotations

import gzip
import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path

import pytest

from backfill.domain.intervals import Interval, total_ms
from backfill.domain.timeframes import TIMEFRAMES
from backfill.jobs.fill.fill_gaps import FillReport
from backfill.paper.replayed_market import ReplayedMarket
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import SeriesWindow
from integration.exchange import PaperBlofin, assert_equals_market, fill, punch
from integration.helpers import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    NOON_MS,
    NOW_MS,
    missing_candles,
    ms,
    one,
    opens,
    rows,
    stored_ms,
    wanted_series,
)

Replay = Callable[..., PaperBlofin]
LATE_MS = 15 * MINUTE_MS  # the exchange's clock is past the time in which the last bars might still come


@pytest.fixture
def replay(tmp_path: Path) -> Iterator[Replay]:
    """Serves bars with the given open times under made-up prices, moved so that the last one ends at NOON_MS."""
    with ExitStack() as opened:

        def serve(opens_ms: Sequence[int], timeframe: str = "1m", longer: Sequence[str] = ()) -> PaperBlofin:
            prices = random.Random(5)
            bars = []
            for at in opens_ms:
                low, a, b, high = sorted(round(prices.uniform(0.9, 1.1), 6) for _ in range(4))
                bars.append((at, a, high, low, b, round(prices.expovariate(0.01), 3)))
            write_bars(tmp_path, timeframe, bars)
            for name in longer:
                write_bars(tmp_path, name, added_up(bars, TIMEFRAMES[name].step_ms))
            market = ReplayedMarket(tmp_path, now_ms=NOON_MS)
            return opened.enter_context(PaperBlofin(market, now_ms=NOW_MS + LATE_MS))

        yield serve


def write_bars(folder: Path, timeframe: str, bars: Sequence[tuple[float, ...]]) -> None:
    lines = ["ts_ms,open,high,low,close,volume", *(",".join(map(str, bar)) for bar in bars)]
    (folder / f"okx__XRP-USDT-PERP__{timeframe}.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))


def added_up(bars: Sequence[tuple[float, ...]], step_ms: int) -> list[tuple[float, ...]]:
    longer = []
    for at, group in groupby(bars, key=lambda bar: int(bar[0]) // step_ms * step_ms):
        _, opening, highs, lows, closing, volumes = zip(*group, strict=True)
        longer.append((at, opening[0], max(highs), min(lows), closing[-1], math.fsum(volumes)))
    return longer


def with_holes(bars: Sequence[int]) -> list[int]:
    """Without single bars and a range; the oldest and the newest bar stay."""
    gone = {*bars[2500:2510], bars[3000], bars[3002], bars[-2]}
    return [at for at in bars if at not in gone]


def fill_twice(store: CandleStore, exchange: PaperBlofin, window: SeriesWindow) -> FillReport:
    """One answer leaves a hole doubtful, the second one of another run settles it."""
    first = fill(store, exchange, window)
    assert (first.status, first.missing_after) == ("partial", first.absent_found)
    exchange.behave(NOW_MS + LATE_MS)
    return fill(store, exchange, window)


def test_the_database_ends_equal_to_the_source_holes_included(store: CandleStore, replay: Replay) -> None:
    bars = opens(NOON_MS - 3 * DAY_MS, NOON_MS)
    exchange = replay(with_holes(bars))
    window = wanted_series(store, "XRP-USDT", history_ms=3 * DAY_MS)

    report = fill_twice(store, exchange, window)

    assert (report.status, report.missing_after, report.coverage_after) == ("complete", 0, 100.0)
    assert_equals_market(store, window, exchange.market)
    assert stored_ms(store.connection, window) == with_holes(bars)
    assert rows(store.connection, "SELECT DISTINCT quote_volume FROM backfill.candles") == [(None,)]


def test_a_stretch_longer_than_a_page_stays_a_gap_while_nothing_else_speaks_for_it(
    store: CandleStore, replay: Replay
) -> None:
    bars = opens(NOON_MS - 3 * DAY_MS, NOON_MS)
    exchange = replay([*bars[:100], *bars[2000:]])
    window = wanted_series(store, "XRP-USDT", history_ms=3 * DAY_MS)

    report = fill_twice(store, exchange, window)

    assert (report.status, report.missing_after) == ("partial", 1900)
    assert_equals_market(store, window, exchange.market)


def test_the_next_run_asks_for_no_hole(store: CandleStore, replay: Replay) -> None:
    exchange = replay(with_holes(opens(NOON_MS - 3 * DAY_MS, NOON_MS)))
    window = wanted_series(store, "XRP-USDT", history_ms=3 * DAY_MS)
    fill_twice(store, exchange, window)
    exchange.behave(NOW_MS + LATE_MS)

    report = fill(store, exchange, window)

    assert (report.status, report.requests, report.rows_inserted, report.absent_found) == ("complete", 0, 0, 0)
    assert exchange.asked == []


def test_what_the_source_lacks_is_written_down_bar_for_bar(store: CandleStore, replay: Replay) -> None:
    bars = opens(NOON_MS - 3 * DAY_MS, NOON_MS)
    exchange = replay(with_holes(bars))
    window = wanted_series(store, "XRP-USDT", history_ms=3 * DAY_MS)

    fill(store, exchange, window)

    denied = [
        Interval(r.lower, r.upper)
        for (absent,) in rows(store.connection, "SELECT absent FROM backfill.absences")
        for r in absent
    ]
    lacking = set(bars) - set(with_holes(bars))
    assert total_ms(denied) == len(lacking) * MINUTE_MS
    assert {at for start, end in denied for at in range(start, end, MINUTE_MS)} == lacking


def test_after_their_day_the_holes_are_asked_for_once_more_and_then_for_a_week_not(
    store: CandleStore, replay: Replay
) -> None:
    exchange = replay(with_holes(opens(NOON_MS - 3 * DAY_MS, NOON_MS)))
    window = wanted_series(store, "XRP-USDT", history_ms=3 * DAY_MS)
    fill_twice(store, exchange, window)
    store.connection.execute("UPDATE backfill.absences SET expires_at = now() - interval '1 second'")

    again = fill(store, exchange, window)

    assert (again.missing_before, again.rows_inserted, again.absent_found) == (13, 0, 13)
    assert again.requests == again.requests_planned
    assert fill(store, exchange, window).requests == 0
    assert one(store.connection, "SELECT min(expires_at) > now() + interval '6 days' FROM backfill.absences")
    assert one(store.connection, "SELECT array_agg(DISTINCT confirmations) FROM backfill.absences") == [3]


def test_a_hole_in_the_source_and_a_hole_punched_beside_it_are_told_apart(store: CandleStore, replay: Replay) -> None:
    bars = opens(NOON_MS - 3 * DAY_MS, NOON_MS)
    exchange = replay(with_holes(bars))
    window = wanted_series(store, "XRP-USDT", history_ms=3 * DAY_MS)
    fill_twice(store, exchange, window)
    punch(store, window, [*bars[2490:2500], *bars[2999:3004]])  # two of the latter five were never there
    assert missing_candles(store, window) == 13

    report = fill(store, exchange, window)

    assert (report.rows_inserted, report.absent_found, report.missing_after) == (13, 0, 0)
    assert_equals_market(store, window, exchange.market)


def test_history_that_starts_within_the_window_is_complete_from_there(store: CandleStore, replay: Replay) -> None:
    bars = opens(NOON_MS - DAY_MS, NOON_MS)
    exchange = replay(bars, longer=["5m"])
    window = wanted_series(store, "XRP-USDT", history_ms=5 * DAY_MS)

    report = fill(store, exchange, window)

    assert (report.status, report.rows_inserted, report.absent_found) == ("complete", 1440, 4 * 1440)
    exchange.behave(NOW_MS + LATE_MS)
    assert fill(store, exchange, window).requests == 0


def test_hourly_bars_with_holes(store: CandleStore, replay: Replay) -> None:
    bars = opens(ms("2025-11-01"), NOON_MS, HOUR_MS)
    exchange = replay([at for n, at in enumerate(bars) if n % 7 != 3], "1h")
    window = wanted_series(store, "XRP-USDT", "1h", history_ms=NOON_MS - ms("2025-11-01"))

    report = fill_twice(store, exchange, window)

    assert (report.status, report.missing_after) == ("complete", 0)
    assert_equals_market(store, window, exchange.market)
