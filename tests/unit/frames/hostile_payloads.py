"""Answers as no exchange should give them.

``FUZZ_EXAMPLES=20000 pytest -k fuzz`` tries more than the usual few, and others every time.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from backfill.errors import ExchangeError
from unit.exchanges.canned_answers import Answer, CannedAnswers
from unit.frames.judged_pages import CURSOR_MS, MINUTE_MS, NEWEST_MS, NOW_MS, Layout, number

_EXAMPLES = os.environ.get("FUZZ_EXAMPLES")


def fuzz(examples: int) -> settings:
    """The same examples in every run, unless more are asked for."""
    return settings(
        max_examples=int(_EXAMPLES or examples),
        derandomize=_EXAMPLES is None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


# -- rows --------------------------------------------------------------------------------------------------------

# A text that begins with this stands in the JSON without its quotes: for what json.dumps would not write.
BARE = "@bare:"
NO_NUMBERS = [
    *(None, "", " ", "NaN", "nan", "inf", "-inf", "Infinity", "1e400", "-1e400", "null", "abc", "1,5", "1_0", "0x1F"),
    *(
        "\u0661\u0662",
        "\uff11",
        "1\u0660",
        " 1",
        "1 ",
        "1\n",
        "\ufeff1",
        "\x00",
        "\ud800",
        "1e",
        ".",
        "+",
        "--1",
        "9" * 400,
    ),
    *(True, False, [], ["1"], [[[["1"]]]], {}, {"price": "1"}, 10**400, -(10**400)),
    *(f"{BARE}1e400", f"{BARE}-1e400", f"{BARE}1E5", f"{BARE}-0", f"{BARE}-0.0", f"{BARE}1e-400"),
]
ODD_NUMBERS = [
    *("-1", -1, "0", 0, "-0", "+1", "1.", ".5", "1e3", "1E-3", 10**30, 2**63),
    *(5e-324, "5e-324", "1e-51", "1e-49", 1e49, "1e51", 1e308, "1e308"),
]
ODD_CELLS = [*NO_NUMBERS, *ODD_NUMBERS]


def _one_of(*strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One of them, each as likely: hypothesis by itself would give each branch of a branch the same chance."""
    return st.sampled_from(strategies).flatmap(lambda strategy: strategy)


cells = _one_of(
    st.sampled_from(ODD_CELLS),
    st.sampled_from(ODD_CELLS),
    st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4),
)
minutes_ms = st.integers(-40, 3).map(lambda minute: CURSOR_MS + minute * MINUTE_MS)
near_times = minutes_ms | st.integers(-2, 33).map(lambda minute: CURSOR_MS + minute * MINUTE_MS)
odd_times = st.sampled_from(
    [
        *(CURSOR_MS - MINUTE_MS + 1, CURSOR_MS - 1, CURSOR_MS - 30_000, CURSOR_MS - MINUTE_MS + 0.5),
        *(CURSOR_MS // 1000, CURSOR_MS * 1000, 0, 60_000, -60_000, NEWEST_MS, NEWEST_MS + MINUTE_MS, 2**63),
        *(NOW_MS, NOW_MS + MINUTE_MS, NOW_MS + 2 * MINUTE_MS, CURSOR_MS + 10**9, "2025-11-20T00:00:00Z"),
    ]
)
times = _one_of(near_times, near_times.map(str), odd_times, odd_times.map(str), cells)


@st.composite
def good_rows(draw: st.DrawFn, layout: Layout, opens_ms: st.SearchStrategy[int] = minutes_ms) -> list[Any]:
    """A row as the source's documentation promises it."""
    low, one, other, high = sorted(draw(st.lists(st.integers(1, 9), min_size=4, max_size=4)))
    open_, close = draw(st.permutations([one, other]))
    row: list[Any] = ["1"] * layout.width
    row[:5] = [str(draw(opens_ms)), f"{open_}.5", f"{high}.5", f"{low}.5", f"{close}.5"]
    row[layout.volume] = str(draw(st.integers(0, 5)))
    row[layout.quote] = draw(st.sampled_from(["0", "12.5", "", None]))
    if layout.confirm is not None:
        row[layout.confirm] = draw(st.sampled_from(["1", "1", "1", "0"]))
    return row


@st.composite
def spoilt_rows(draw: st.DrawFn, layout: Layout) -> Any:
    """A good row with one or two things wrong with it, or none that is wrong but odd."""
    row = draw(good_rows(layout))
    for _ in range(draw(st.integers(1, 2))):
        match draw(st.integers(0, 7)):
            case 0 | 1:
                row[0] = draw(times)
            case 2 | 3:
                row[draw(st.integers(1, len(row) - 1))] = draw(cells)
            case 4 | 5:
                place = draw(st.sampled_from([1, 2, 3, 4, layout.volume, layout.quote]))
                row[place] = draw(st.sampled_from(["0", "-1", "0.1", "99", 7, 2.5, 1e308]))
            case 6:
                row = [float(cell) if isinstance(cell, str) and number(cell) is not None else cell for cell in row]
            case _:
                return row[: draw(st.integers(0, layout.width - 1))]
    return row + draw(st.lists(cells, max_size=1))


def rows(layout: Layout) -> st.SearchStrategy[list[Any]]:
    """A page's rows in any order: good ones, spoilt ones, what is no row, and some of them again."""
    good, spoilt = good_rows(layout), spoilt_rows(layout)
    no_row = _one_of(cells, st.dictionaries(st.sampled_from(["ts", "open", "0", "openTime"]), cells, max_size=3))
    some = st.lists(_one_of(*[good] * 4, *[spoilt] * 4, no_row), min_size=1, max_size=8)
    again = st.lists(st.integers(0, 7), max_size=3)
    return st.just([]) | st.tuples(some, again).map(
        lambda drawn: [*drawn[0], *(drawn[0][place] for place in drawn[1] if place < len(drawn[0]))]
    )


def named_rows(layout: Layout) -> st.SearchStrategy[list[Any]]:
    """The rows of sources that name their cells or tell the time in seconds."""
    return rows(layout).map(lambda told: [_named(row) for row in told]) | rows(layout).map(
        lambda told: [[_seconds(row[0]), *row[1:]] if row and isinstance(row, list) else row for row in told]
    )


def _named(row: Any) -> Any:
    """As Gate, Hyperliquid and Coinbase call them, who do not contradict each other."""
    if not isinstance(row, list):
        return row
    names = [("t", "start"), ("o", "open"), ("h", "high"), ("l", "low"), ("c", "close"), ("v", "volume"), ("sum",)]
    return {
        name: _seconds(cell) if name == "start" else cell for of, cell in zip(names, row, strict=False) for name in of
    }


def _seconds(cell: Any) -> Any:
    ms = number(cell)
    return cell if ms is None else ms / 1000


def every_cell_in_every_place(layout: Layout) -> list[Any]:
    """A page of rows of one bar each, good but for one cell."""
    good = ["", "2.5", "3.5", "1.5", "2.5", *["1"] * (layout.width - 5)]
    spoilt = [(place, cell) for place in range(layout.width) for cell in ODD_CELLS]
    page: list[Any] = []
    for minute, (place, cell) in enumerate(spoilt, start=1):
        page.append([str(CURSOR_MS - minute * MINUTE_MS), *good[1:]])
        page[-1][place] = cell
    return page


# -- bodies ------------------------------------------------------------------------------------------------------


def date(now_ms: int) -> str:
    return formatdate(now_ms / 1000, usegmt=True)


def json_bytes(document: Any) -> bytes:
    return re.sub(rf'"{BARE}([^"]*)"', r"\1", json.dumps(document)).encode()


def read_back(document: Any) -> Any:
    """As whoever reads the JSON sees it."""
    return json.loads(json_bytes(document))


_HTML = [b"<html><body>Welcome to the hotel's network</body></html>", b"<!DOCTYPE html>", b"upstream timed out", b""]
json_values = st.recursive(
    cells,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def spoilt_json(draw: st.DrawFn, document: Any) -> Any:
    """A document with some of its values replaced."""
    if draw(st.integers(0, 29)) == 0:
        return draw(_one_of(st.sampled_from(NO_NUMBERS), json_values))
    if isinstance(document, dict):
        return {name: draw(spoilt_json(value)) for name, value in document.items()}
    if isinstance(document, list):
        return [draw(spoilt_json(value)) for value in document]
    return document


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """A body that was cut, lost some bytes or got others."""
    body = bytearray(draw(whole))
    match draw(st.integers(0, 3)):
        case 0:
            return bytes(body[: draw(st.integers(0, len(body)))])
        case 1:
            place = draw(st.integers(0, len(body)))
            body[place:place] = draw(st.binary(min_size=1, max_size=3))
        case 2:
            place = draw(st.integers(0, len(body)))
            del body[place : place + draw(st.integers(1, 30))]
        case _:
            return body.decode().encode(draw(st.sampled_from(["utf-16", "utf-16-le", "utf-32", "utf-8-sig"])))
    return bytes(body)


def bodies(whole: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Bytes that a question may be answered with; ``whole``: those of the source's own form."""
    return _one_of(
        whole,
        damaged(whole),
        damaged(whole),
        st.binary(max_size=40),
        st.sampled_from(_HTML),
        json_values.map(json_bytes),
        st.integers(1, 1200).map(lambda depth: b'{"code":"0","data":' + b"[" * depth + b"]" * depth + b"}"),
    )


_header_text = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=12)
headers = st.fixed_dictionaries(
    {},
    optional={
        "Date": st.just(date(NOW_MS)) | _header_text | st.just("Fri, 31 Dec 9999 23:59:60 -9999"),
        "Retry-After": _header_text | st.integers().map(str),
        "Content-Length": st.integers(0, 99).map(str),
        "Content-Encoding": st.sampled_from(["gzip", "br", "deflate", "identity", "x"]),
        "Location": _header_text,
    },
)
# By the last one the newest bars that are asked for have not opened.
clocks_ms = st.sampled_from([NOW_MS, NOW_MS, CURSOR_MS - 6 * MINUTE_MS])
statuses = st.sampled_from([200] * 12 + [201, 204, 301, 400, 401, 403, 404, 405, 409, 418, 429, 451, 500, 503, 520])


# -- asking ------------------------------------------------------------------------------------------------------


class Exchange(CannedAnswers):
    """A transport whose answers are set from outside: in turn, the last one again and again."""

    def says(
        self, *bodies: bytes, status: int = 200, headers: Mapping[str, str] | None = None, now_ms: int = NOW_MS
    ) -> None:
        """``now_ms``: the clock that the answers come with, unless ``headers`` are given."""
        self.requests.clear()
        self.options.clear()
        headers = {"Date": date(now_ms)} if headers is None else headers
        self._answers = tuple(Answer(body, status, headers) for body in bodies)


@dataclass
class Outcome:
    error: ExchangeError | None = None


@contextmanager
def only_errors_of_ours() -> Iterator[Outcome]:
    """Lets nothing but an :class:`ExchangeError` be raised within, and only one that the run log can keep."""
    outcome = Outcome()
    try:
        yield outcome
    except ExchangeError as error:
        outcome.error = error
        told = str(error)
        told.encode()  # no half of a surrogate pair
        assert "\x00" not in told
        assert len(told) < 1000
        if not error.exchange:
            pytest.fail(f"an error of nobody's: {error!r}")
