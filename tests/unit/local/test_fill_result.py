"""What a run is said to have done, from rows alone."""

from __future__ import annotations

from typing import Any

from backfill.local.fill_result import (
    RunRows,
    exit_code,
    in_words,
    progress,
    series_results,
    shown_columns,
    totals,
)


def state(symbol: str, *, missing: int = 0, expected: int = 100, absent: int = 0, doubtful: int = 0) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "timeframe": "1m",
        "coverage_pct": 100.0 * (expected - missing) / expected,
        "expected_candles": expected,
        "absent_candles": absent,
        "doubtful_candles": doubtful,
    }


def gap(symbol: str, missing: int) -> dict[str, Any]:
    return {"symbol": symbol, "timeframe": "1m", "missing_candles": missing}


def attempt(symbol: str, before: float, *, inserted: int = 0, requests: int = 1, **other: Any) -> dict[str, Any]:
    counts = {"requests_planned": 1, "rows_revised": 0, "rows_quarantined": 0, "absent_found": 0}
    sources = {"blofin": inserted} if inserted else {}
    row = {"symbol": symbol, "timeframe": "1m", "coverage_before": before, "error": None, "sources": sources}
    found = {"gaps_found": 1, "missing_before": 100, "validation": None}
    return {**row, **counts, **found, "rows_inserted": inserted, "requests": requests, **other}


def test_progress_counts_what_is_held_of_the_bars_that_exist() -> None:
    states = [state("A-USDT", missing=50), state("B-USDT", expected=300)]
    now = progress(RunRows(states, [gap("A-USDT", 20), gap("A-USDT", 30)], [attempt("A-USDT", 0, requests=7)]))

    assert (now.expected, now.held, now.missing, now.open_series, now.requests) == (400, 350, 50, 1, 7)
    assert str(now) == "87.5 % covered, 1 series with gaps, 7 requests"


def test_before_the_universe_is_declared_nothing_is_covered() -> None:
    assert str(progress(RunRows([], [], []))) == "0.0 % covered, 0 series with gaps, 0 requests"


def test_a_series_of_two_attempts_shows_the_first_ones_before_and_the_sum_of_both() -> None:
    attempts = [
        attempt("A-USDT", 10.0, inserted=40, requests=3, error="unreachable"),
        attempt("A-USDT", 50.0, inserted=50, requests=4),
    ]

    [result] = series_results(RunRows([state("A-USDT")], [], attempts))

    assert (result.coverage_before, result.coverage_after) == (10.0, 100.0)
    assert (result.counts["rows_inserted"], result.counts["requests"]) == (90, 7)
    assert result.sources == {"blofin": 90}
    assert result.error is None


def test_what_a_validation_has_replaced_is_not_what_was_filled() -> None:
    attempts = [
        attempt("A-USDT", 90.0, inserted=10, gaps_found=2, missing_before=10),
        attempt("A-USDT", 100.0, sources={"blofin": 1}, rows_revised=1, validation={}, gaps_found=0, missing_before=0),
    ]

    [result] = series_results(RunRows([state("A-USDT", absent=7, doubtful=3)], [], attempts))

    assert (result.holes, result.missing_before, result.silent) == (2, 10, 4)
    assert (result.filled, result.sources) == ({"blofin": 10}, {"blofin": 11})


def test_a_series_that_nobody_worked_on_is_shown_as_it_is() -> None:
    [result] = series_results(RunRows([state("A-USDT", missing=25)], [gap("A-USDT", 25)], []))

    assert (result.coverage_before, result.coverage_after, result.missing) == (75.0, 75.0, 25)


def test_a_bar_that_closed_after_the_run_had_begun_is_not_missing() -> None:
    [result] = series_results(RunRows([state("A-USDT", missing=1)], [], []))

    assert (result.missing, result.coverage_after) == (0, 100.0)


def test_the_totals_add_up_over_the_series() -> None:
    states = [state("A-USDT", missing=5), state("B-USDT")]
    attempts = [attempt("A-USDT", 0.0, inserted=95), attempt("B-USDT", 0.0, inserted=100)]
    summed = totals(series_results(RunRows(states, [gap("A-USDT", 5)], attempts)))

    assert (summed["series"], summed["rows_inserted"], summed["requests"], summed["missing"]) == (2, 195, 2, 5)
    assert in_words(summed).startswith("195 rows inserted, 0 revised, 0 quarantined;")


def test_columns_of_rare_events_appear_with_the_first_such_event() -> None:
    usual = RunRows([state("A-USDT")], [], [attempt("A-USDT", 0.0)])
    odd = RunRows([state("A-USDT", absent=3)], [], [attempt("A-USDT", 0.0, requests=2, rows_quarantined=1)])
    plain, rare = ([result.as_row() for result in series_results(rows)] for rows in (usual, odd))

    assert shown_columns(plain) == [
        *("symbol", "timeframe", "before %", "after %", "missing", "inserted", "requests", "sources")
    ]
    assert set(shown_columns(rare)) - set(shown_columns(plain)) == {"absent", "requests_planned", "quarantined"}
    assert shown_columns([]) == []


def test_the_exit_code_tells_complete_gaps_and_failure_apart() -> None:
    whole = series_results(RunRows([state("A-USDT")], [], []))
    holed = series_results(RunRows([state("A-USDT", missing=1)], [gap("A-USDT", 1)], []))

    assert exit_code("success", whole) == 0
    assert exit_code("success", holed) == 3
    assert exit_code("failed", holed) == 1
    assert exit_code("success", []) == 1
