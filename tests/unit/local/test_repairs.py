"""What is said of a run is what its rows say, in lines of 80 columns."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone
from typing import Any

from backfill.local.fill_result import SeriesResult
from backfill.local.repairs import COLUMNS, next_steps, repairs

AT = datetime(2026, 3, 10, 8, tzinfo=timezone.utc)


def result(symbol: str, before: float, found: int, filled: dict[str, int], **more: Any) -> SeriesResult:
    counts = Counter(rows_revised=more.pop("revised", 0))
    after = SeriesResult(symbol, "1m", before, 100.0, 0, 0, counts, filled=Counter(filled), missing_before=found)
    for name, value in more.items():
        setattr(after, name, value)
    return after


def revision(symbol: str, **more: Any) -> dict[str, Any]:
    row = {
        "symbol": symbol,
        "timeframe": "1m",
        "bars": 5,
        "open_time": AT,
        "task_id": "validate",
        "close": 3909.09,
        "volume": 0.0,
    }
    return {**row, "new_close": 3910.1, "new_volume": 68.9, **more}


RESULTS = [
    result("ADA-USDT", 0, 10_080, {"blofin": 10_080}),
    result("BTC-USDT", 96.6, 343, {"blofin": 343}, holes=3),
    result("ETH-USDT", 99.1, 90, {"blofin": 90}, holes=1, revised=1),
    result("NICHE-USDT", 0, 10_080, {"bybit": 10_080}),
    result("QUIET-USDT", 0, 10_053, {"blofin": 8_121}, silent=1_932),
    result("SOL-USDT", 0, 10_080, {"okx": 95, "blofin": 9_985}),
    result("XRP-USDT", 0, 10_080, {"blofin": 10_080}),
]
SOURCES = {one.key: ("blofin", "okx", "bybit") for one in RESULTS} | {("NICHE-USDT", "1m"): ("bybit",)}


def test_each_series_that_was_more_than_filled_has_its_line_and_the_others_share_one() -> None:
    assert repairs(RESULTS, [revision("ETH-USDT")], SOURCES) == [
        "  BTC-USDT 1m    3 holes, 343 bars: 343 from blofin",
        "  ETH-USDT 1m    1 hole, 90 bars: 90 from blofin",
        "                 5 bars replaced by validate: 2026-03-10 08:00 was close 3909.09",
        "                   volume 0, is close 3910.1 volume 68.9",
        "  NICHE-USDT 1m  filled from empty: 10,080 from bybit, its only source",
        "  QUIET-USDT 1m  filled from empty: 8,121 from blofin",
        "                 1,932 bars had no trade",
        "  SOL-USDT 1m    filled from empty: 9,985 from blofin; what blofin lacks, 95",
        "                   from okx",
        "  2 other series filled from empty: 20,160 from blofin",
    ]


def test_no_line_is_wider_than_a_terminal_and_many_series_are_counted() -> None:
    many = [result(f"C{number}-USDT", 50.0, 7, {}, holes=2, missing=7, error="no answer " * 30) for number in range(20)]
    lines = repairs(many, [], {one.key: ("blofin",) for one in many})

    assert max(map(len, lines)) <= COLUMNS
    assert lines[-1] == "  8 more: 56 bars were missing, 56 are"
    assert "7 bars are still missing: no answer" in lines[0]


def test_a_run_that_found_nothing_says_so() -> None:
    assert repairs([result("BTC-USDT", 100.0, 0, {})], [], {}) == ["  nothing was missing: 1 series were whole"]


def test_three_commands_show_what_was_done_and_without_that_how_things_stand() -> None:
    assert next_steps(RESULTS, [revision("ETH-USDT")]) == [
        "explain ETH-USDT 1m 2026-03-10T08:00",
        "condition SOL-USDT 1m",
        "condition QUIET-USDT 1m",
    ]
    assert next_steps(RESULTS[:1], []) == ["status", "gaps", "findings"]
