"""How one exchange words questions and answers: a function from a request to an answer, without HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from backfill.paper.limits import HouseRules
from backfill.paper.market import Market


class Answer(NamedTuple):
    """``symbol`` is the instrument that the question named, if it named one, for the counters."""

    status: int
    body: bytes
    symbol: str | None = None
    media_type: str = "application/json"


class ExchangeProtocol(Protocol):
    """One exchange's public API over a market."""

    house_rules: HouseRules

    def answer(self, market: Market, method: str, path: str, query: Mapping[str, str], now_ms: int) -> Answer:
        """Answer a request; wrong questions and unknown paths are answered as the exchange does."""

    def refusal(self, status: int) -> Answer:
        """How the exchange turns away an address that has asked too often."""


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
