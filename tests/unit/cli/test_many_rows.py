"""What is shown of many series."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from backfill.cli.many_rows import missing, show_rows, worst_series
from backfill.cli.output import MANY_ROWS, Output

COLUMNS = ("symbol", "timeframe", "status", "missing_candles")


def row(symbol: str, missing_candles: int = 0, status: str = "complete", timeframe: str = "1m") -> dict[str, Any]:
    return {"symbol": symbol, "timeframe": timeframe, "status": status, "missing_candles": missing_candles}


@pytest.fixture
def shown(capsys):
    def lines(rows: Sequence[dict[str, Any]], limit: int | None) -> list[list[str]]:
        show_rows(Output(as_json=False), "series", rows, COLUMNS, limit, worst_series)
        return [line.split() for line in capsys.readouterr().out.splitlines() if line.split()]

    return lines


def test_few_series_are_shown_as_they_come(shown):
    lines = shown([row("B", 3, "gaps"), row("A"), row("C", 9, "gaps")], limit=3)
    assert [line[0] for line in lines[-3:]] == ["B", "A", "C"]


def test_many_are_summed_up_by_timeframe_and_the_worst_come_first_without_those_that_need_nothing(shown):
    rows = [
        row("FINE"), row("LITTLE", 1, "gaps"), row("MUCH", 70, "gaps"), row("FAILED", 2, "error"),
        row("LESS", 7, "gaps"), row("FINE", timeframe="1h"), row("YOUNG", 0, "insufficient_history", "1h"),
    ]  # fmt: skip
    lines = shown(rows, limit=3)
    by_timeframe = {line[0]: line[1:] for line in lines if line[0] in ("1m", "1h")}
    assert by_timeframe == {"1m": ["5", "1", "80", "MUCH"], "1h": ["2", "2", "0"]}
    assert [line[0] for line in lines[-3:]] == ["FAILED", "MUCH", "LESS"]
    assert ["the", "worst", "3", "of", "4;", "--all", "shows", "every", "one"] in lines


def test_where_all_is_well_the_summary_is_all(shown):
    lines = shown([row(f"S{number}") for number in range(9)], limit=3)
    assert lines[-1] == ["1m", "9", "9", "0"]


def test_every_row_is_shown_if_asked_for_however_many_and_none_is_cut(shown):
    rows = [row(f"S{number}", 1000 * number, "gaps") for number in range(MANY_ROWS + 1)]
    lines = shown(rows, limit=None)
    assert lines[1:] == [list(COLUMNS), *([one["symbol"], "1m", "gaps", f"{one['missing_candles']:,}"] for one in rows)]


def test_gaps_are_counted_and_the_longest_come_first(capsys):
    gaps = [{"symbol": "A", "timeframe": "1m", "missing_candles": length} for length in (1, 5, 3)]
    show_rows(Output(as_json=False), "gaps", gaps, ("symbol", "missing_candles"), 2, lambda gap: (missing(gap),))
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.split()]
    assert ["1m", "1", "3", "9", "A"] in lines
    assert lines[-2:] == [["A", "5"], ["A", "3"]]


def test_a_document_has_a_line_for_each_row_of_a_list(capsys):
    document = {"series": [row("A"), row("B")], "none": [], "missing_candles": 0, "progress": {"runs": 1}}
    Output(as_json=True).document(document)
    printed = capsys.readouterr().out
    assert json.loads(printed) == document
    assert sum('"symbol"' in line for line in printed.splitlines()) == 2
