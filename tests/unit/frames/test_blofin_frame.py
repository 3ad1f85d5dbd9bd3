"""Blofin's rows as candles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.domain.candle_columns import CANDLE_COLUMNS, FLAG_COLUMNS
from backfill.frames.blofin_frame import blofin_frame as numpy_frame

RECORDED = Path(__file__).parents[2] / "recorded"
ROW = ["1700000040000", "1", "2.5", "0.5", "1.5", "10", "0.01", "0.015", "1"]
CONTRACTS, CONFIRM = 5, 8
USED = [place for place in range(9) if place not in (CONTRACTS, CONFIRM)]


def blofin_frame(rows):
    return numpy_frame(rows).to_pandas()


def with_cell(place: int, cell: object) -> list[object]:
    return [cell if number == place else told for number, told in enumerate(ROW)]


def test_a_page_becomes_a_frame_in_its_own_order_volume_in_coins_running_bar_marked():
    rows = json.loads((RECORDED / "blofin_page_newest.json").read_text())["data"]
    frame = blofin_frame(rows)
    assert frame.iloc[0].to_dict() == {
        "open_ms": 1_763_601_420_000,
        "open": 40210.5,
        "high": 40212.0,
        "low": 40208.1,
        "close": 40211.9,
        "volume": 1.53,
        "quote_volume": 61524.207,
        "closed": False,
        "malformed": False,
    }
    assert list(frame["open_ms"]) == [1_763_601_420_000 - 60_000 * k for k in range(6)]
    assert list(frame.loc[3, ["volume", "quote_volume"]]) == [0, 0]  # nobody traded: that is known, not missing
    assert list(frame["closed"]) == [False, True, True, True, True, True]
    assert not frame["malformed"].any()


def test_numbers_instead_of_text_are_the_same_candle():
    as_numbers = [1_700_000_040_000, 1, 2.5, 0.5, 1.5, 10, 0.01, 0.015, 1]
    assert blofin_frame([as_numbers]).equals(blofin_frame([ROW]))


@pytest.mark.parametrize(("confirm", "closed"), [("1", True), (1, True), ("0", False), (0, False)])
def test_only_a_confirmed_bar_is_closed(confirm, closed):
    frame = blofin_frame([with_cell(CONFIRM, confirm)])
    assert (list(frame["closed"]), list(frame["malformed"])) == ([closed], [False])


@pytest.mark.parametrize("confirm", ["", None, "2", "true", True, False, [], {}, "01", 0.5])
def test_a_row_that_neither_confirms_nor_denies_its_bar_is_malformed(confirm):
    assert list(blofin_frame([with_cell(CONFIRM, confirm), ROW])["malformed"]) == [True, False]


@pytest.mark.parametrize("place", USED)
@pytest.mark.parametrize("cell", ["NaN", "inf", "abc", [], {"a": "1"}, ["1"], True])
def test_a_cell_that_is_no_number_marks_its_row_and_no_other(place, cell):
    frame = blofin_frame([ROW, with_cell(place, cell), ROW])
    assert list(frame["malformed"]) == [False, True, False]
    assert frame.loc[[0, 2], CANDLE_COLUMNS].notna().all(axis=None)


@pytest.mark.parametrize("place", USED)
@pytest.mark.parametrize("cell", ["", None])
def test_a_blank_cell_is_missing_and_the_rules_decide(place, cell):
    frame = blofin_frame([with_cell(place, cell)])
    assert list(frame["malformed"]) == [False]
    assert frame[CANDLE_COLUMNS].isna().to_numpy().sum() == 1


@pytest.mark.parametrize("cell", ["", None, "NaN", [], "a million"])
def test_contracts_are_nobodys_business(cell):
    assert blofin_frame([with_cell(CONTRACTS, cell)]).equals(blofin_frame([ROW]))


@pytest.mark.parametrize(
    "row", [ROW[:8], [], None, "1700000040000", 7, {"ts": "1700000040000"}, [ROW], [ROW] * 9, [None] * 9]
)
def test_a_row_of_another_shape_has_no_open_time_and_spoils_no_other(row):
    frame = blofin_frame([ROW, row, ROW])
    assert frame["open_ms"].isna().tolist() == [False, True, False]
    assert list(frame["malformed"]) == [False, True, False]


def test_a_column_that_blofin_may_add_one_day_changes_nothing():
    assert blofin_frame([[*ROW, "new"]]).equals(blofin_frame([ROW]))


def test_no_rows_are_an_empty_frame():
    frame = blofin_frame([])
    assert list(frame.columns) == [*CANDLE_COLUMNS, *FLAG_COLUMNS]
    assert len(frame) == 0


CELLS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.lists(st.just("1"), max_size=2)
)


@given(st.lists(CELLS | st.lists(CELLS, max_size=11), max_size=5))
def test_whatever_json_says_there_is_one_candle_a_row_and_no_error(rows):
    frame = blofin_frame([*rows, ROW])
    assert list(frame.index) == list(range(len(rows) + 1))
    assert not frame["malformed"].iloc[-1]


@pytest.mark.parametrize("name", ["XRP-USDT_15m_dst_window", "BTC-USDT_1D_limit1", "doc_sample"])
def test_recorded_answers_become_what_they_say(payload, name):
    rows = payload(f"blofin/candles_{name}.json")["body"]["data"]
    frame = blofin_frame(rows)
    expected = [[float(row[place]) for place in USED] for row in rows]
    assert frame[CANDLE_COLUMNS].to_numpy().tolist() == expected
    assert list(frame["closed"]) == [row[CONFIRM] == "1" for row in rows]
    assert not frame["malformed"].any()


def test_ccxt_reads_the_same_candles(payload):
    for case in payload("parsed/blofin.json")["fetchOHLCV_response"]:
        frame = blofin_frame(case["httpResponse"]["data"])
        columns = [name for name in CANDLE_COLUMNS if name != "quote_volume"]
        assert frame[columns].to_numpy().tolist() == case["parsedResponse"]
