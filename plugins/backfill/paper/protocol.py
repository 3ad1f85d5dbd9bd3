"""One exchange's requests and answers, without HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from backfill.domain.timeframes import Timeframe, utc
from backfill.paper.limits import HouseRules, PaperRefusal
from backfill.paper.market import FOREVER_MS as FOREVER_MS
from backfill.paper.market import Candles, PaperInstrument, PaperMarket

Query = Mapping[str, str]


class Answer(NamedTuple):
    """``symbol``, for the counters, is our name of the instrument, if any."""

    status: int
    body: bytes
    symbol: str | None = None
    media_type: str = "application/json"
    headers: Mapping[str, str] = {}


Cells = Any  # one row of an answer: a list, or an object by name


@dataclass(frozen=True)
class CandleWire:
    """Where an exchange's answers carry candles, so that page faults work in every format.

    ``paths`` serve candles of the query's ``timeframe``; one that ends in a slash begins others, read by
    ``timeframe_in``. ``rows_in`` returns the row list of a decoded body, not a copy unless ``put_rows`` writes such a
    list into the body. ``times`` are the time columns in ``unit_ms``, the open time first; ``numbers`` those of open,
    high, low, close and a volume. ``has_cursor``: whether a query can ask for an older page.
    """

    paths: tuple[str, ...]
    timeframe: Callable[[Query], Timeframe]
    rows_in: Callable[[Any], list[Cells]]
    newest_first: bool = True
    times: tuple[int | str, ...] = (0,)
    numbers: tuple[int | str, ...] = (1, 2, 3, 4, 5)
    unit_ms: int = 1
    has_cursor: bool = True
    timeframe_in: Callable[[str], Timeframe] | None = None
    put_rows: Callable[[Any, list[Cells]], None] | None = None

    def has(self, path: str) -> bool:
        """Whether candles are served there."""
        return any(path == one or (one.endswith("/") and path.startswith(one)) for one in self.paths)

    def bar(self, path: str, query: Query) -> Timeframe:
        """The timeframe of a request."""
        return self.timeframe(query) if self.timeframe_in is None else self.timeframe_in(path)

    def replace_rows(self, body: Any, rows: list[Cells]) -> None:
        """Give a decoded body these rows."""
        if self.put_rows is None:
            self.rows_in(body)[:] = rows
        else:
            self.put_rows(body, rows)

    def open_ms(self, cells: Cells) -> int:
        """The open time of a row in ms."""
        return round(float(cells[self.times[0]]) * self.unit_ms)

    def moved(self, cells: Cells, by_ms: int) -> Cells:
        """The row with its times moved, rounded down to ``unit_ms``."""
        moved = copy(cells)
        for column in self.times:
            moved_ms = round(float(cells[column]) * self.unit_ms) + by_ms
            moved[column] = type(cells[column])(moved_ms // self.unit_ms)
        return moved


class ExchangeProtocol(Protocol):
    """One exchange's public API over a market."""

    house_rules: HouseRules
    wire: CandleWire

    def answer(self, market: PaperMarket, method: str, path: str, query: Query, now_ms: int) -> Answer:
        """Answer a request; bad ones get the exchange's own errors."""

    def refusal(self, refused: PaperRefusal, now_ms: int) -> Answer:
        """The answer to an address that asked too often."""

    def weight(self, path: str, query: Query) -> int:
        """How much a request counts against the limits."""

    def usage_headers(self, path: str, used: int) -> Mapping[str, str]:
        """Headers that report how much of the limit is used."""


class PlainRequests:
    """For an exchange that counts each request once and reports no usage."""

    def weight(self, path: str, query: Query) -> int:
        """Every request counts once."""
        return 1

    def usage_headers(self, path: str, used: int) -> Mapping[str, str]:
        """Usage is not reported."""
        return {}


def json_answer(body: object, status: int = 200, symbol: str | None = None) -> Answer:
    """An answer with ``body`` as compact JSON."""
    return Answer(status, json.dumps(body, separators=(",", ":")).encode(), symbol)


def html_answer(status: int, title: str) -> Answer:
    """An HTML page from a proxy in front of the API."""
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Answer(status, page.encode(), media_type="text/html")


def spelled(market: PaperMarket, spelling: Callable[[PaperInstrument], str | None]) -> dict[str, PaperInstrument]:
    """The market's instruments by the exchange's names, without those spelled None."""
    return {name: instrument for instrument in market.instruments if (name := spelling(instrument)) is not None}


def dated(at_ms: int) -> str:
    """The UTC date: 2026-03-10."""
    return f"{utc(at_ms):%Y-%m-%d}"


def whole_number(text: str) -> int | None:
    """Parse a whole number of at most 15 digits, else None."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else None


def in_contracts(candles: Candles, instrument: PaperInstrument) -> NDArray[np.float64]:
    """The bars' volumes in contracts, in whole lots; for spot in coins."""
    traded: NDArray[np.float64] = candles["quote_volume" if instrument.kind == "inverse" else "base_volume"]
    if instrument.contract_value == 1:
        return traded
    return np.round(traded / float(instrument.contract_value), decimals_of(instrument.lot_size))


def decimals_of(step: Decimal) -> int:
    """Decimals of multiples of ``step``: 1 for 0.1, 0 for 10."""
    return max(0, -int(step.normalize().as_tuple().exponent))


def fixed_decimals(values: NDArray[np.float64], decimals: int) -> list[str]:
    """Each number with that many decimals; NaN is the empty string."""
    return ["" if value != value else f"{value:.{decimals}f}" for value in values.tolist()]


def plain_decimals(values: NDArray[np.float64]) -> list[str]:
    """Shortest digits that read back the same, without exponent; NaN is the empty string."""
    return [_plain(text) for text in map(repr, values.tolist())]


def _plain(text: str) -> str:
    if text.endswith(".0"):
        return text[:-2]
    if "e" in text:
        return _without_exponent(text)
    return "" if text == "nan" else text


def _without_exponent(text: str) -> str:
    mantissa, _, exponent = text.partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    point = len(whole) + int(exponent)
    digits = (whole + fraction).rstrip("0")
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    return f"{sign}{digits.ljust(point, '0')}"
