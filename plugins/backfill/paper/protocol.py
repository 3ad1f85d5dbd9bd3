"""How one exchange words questions and answers: a function from a request to an answer, without HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from backfill.domain.timeframes import Timeframe
from backfill.paper.limits import HouseRules, PaperRefusal
from backfill.paper.market import Candles, PaperInstrument, PaperMarket

Query = Mapping[str, str]
FOREVER_MS = 10**15  # later than any bar


class Answer(NamedTuple):
    """``symbol`` is the instrument that the question named, if it named one, for the counters: our name for it."""

    status: int
    body: bytes
    symbol: str | None = None
    media_type: str = "application/json"
    headers: Mapping[str, str] = {}


Cells = list[Any]  # one row of an answer


@dataclass(frozen=True)
class CandleWire:
    """Where an exchange's answers carry candles, so that a page can be damaged whatever its format.

    ``paths`` serve candles of the ``timeframe`` that the query names. ``rows_in`` gives the rows of a decoded body,
    the list itself. ``times`` are the columns with times, the open time first, in units of ``unit_ms``;
    ``numbers`` those with open, high, low, close and a volume.
    ``has_cursor``: whether a query can ask for an older page.
    """

    paths: tuple[str, ...]
    timeframe: Callable[[Query], Timeframe]
    rows_in: Callable[[Any], list[Cells]]
    newest_first: bool = True
    times: tuple[int, ...] = (0,)
    numbers: tuple[int, ...] = (1, 2, 3, 4, 5)
    unit_ms: int = 1
    has_cursor: bool = True

    def open_ms(self, cells: Cells) -> int:
        return int(cells[self.times[0]]) * self.unit_ms

    def moved(self, cells: Cells, by_ms: int) -> Cells:
        """The row with its times moved; where the exchange's unit is too coarse for it, rounded down."""
        moved = list(cells)
        for column in self.times:
            moved_ms = int(cells[column]) * self.unit_ms + by_ms
            moved[column] = type(cells[column])(moved_ms // self.unit_ms)
        return moved


class ExchangeProtocol(Protocol):
    """One exchange's public API over a market."""

    house_rules: HouseRules
    wire: CandleWire

    def answer(self, market: PaperMarket, method: str, path: str, query: Query, now_ms: int) -> Answer:
        """Answer a request; wrong questions and unknown paths are answered as the exchange does."""

    def refusal(self, refused: PaperRefusal, now_ms: int) -> Answer:
        """How the exchange turns away an address that has asked too often."""

    def weight(self, path: str, query: Query) -> int:
        """How much a request counts against the limits."""

    def usage_headers(self, path: str, used: int) -> Mapping[str, str]:
        """How the exchange reports to an address how much of its limit is used."""


class PlainRequests:
    """For an exchange that counts every request once and does not say how many there were."""

    def weight(self, path: str, query: Query) -> int:
        return 1

    def usage_headers(self, path: str, used: int) -> Mapping[str, str]:
        return {}


def json_answer(body: object, status: int = 200, symbol: str | None = None) -> Answer:
    return Answer(status, json.dumps(body, separators=(",", ":")).encode(), symbol)


def html_answer(status: int, title: str) -> Answer:
    """A page from a machine in front of the exchange, which speaks for none of its APIs."""
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Answer(status, page.encode(), media_type="text/html")


def spelled(market: PaperMarket, spelling: Callable[[PaperInstrument], str | None]) -> dict[str, PaperInstrument]:
    """The market's instruments by the exchange's names; those spelled None are not there."""
    return {name: instrument for instrument in market.instruments if (name := spelling(instrument)) is not None}


def whole_number(text: str) -> int | None:
    """The number that a parameter gives, or None if it is not a whole number of at most 15 digits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else None


def in_contracts(candles: Candles, instrument: PaperInstrument) -> NDArray[np.float64]:
    """The bars' volumes in contracts, in whole lots; of a spot pair in coins."""
    traded: NDArray[np.float64] = candles["quote_volume" if instrument.kind == "inverse" else "base_volume"]
    if instrument.contract_value == 1:
        return traded
    return np.round(traded / float(instrument.contract_value), decimals_of(instrument.lot_size))


def decimals_of(step: Decimal) -> int:
    """How many decimals the multiples of ``step`` have: 1 of 0.1, 0 of 10."""
    return max(0, -int(step.normalize().as_tuple().exponent))


def fixed_decimals(values: NDArray[np.float64], decimals: int) -> list[str]:
    """Each number with so many decimals; NaN is the empty string."""
    return ["" if value != value else f"{value:.{decimals}f}" for value in values.tolist()]


def plain_decimals(values: NDArray[np.float64]) -> list[str]:
    """Each number in as few digits as read back the same, never with an exponent; NaN is the empty string."""
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
