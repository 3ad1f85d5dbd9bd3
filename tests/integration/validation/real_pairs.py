"""Two real venues of one instrument, kept and compared by the whole keeper: how often do they disagree, and why?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backfill.domain.agreement import BP
from backfill.domain.timeframes import timeframe as timeframe_named
from backfill.paper.bars import grouped
from backfill.paper.given_market import GivenMarket
from backfill.paper.market import Candles
from integration.validation.keeper_on_paper import PRIMARY, Keeper
from integration.validation.real_faults import FIVES, PERP

SOURCES = {"binance": "binanceusdm", "bybit": "bybit", "okx": "okx"}
BARS_AROUND = 16


class Pair(NamedTuple):
    """Two files at one timeframe, the first as the primary's; finer ones are added up. ``finer``: the primary's."""

    primary: str
    other: str
    at: str
    finer: str | None = None


# Of ../shared/market/INDEX.md's table: two perpetuals; spot beside a perpetual.

PERPETUALS = [
    Pair(PERP, "bybit__BTC-USDT-PERP__15m", "15m", FIVES),
    Pair(FIVES, "bybit__BTC-USDT-PERP__15m", "15m", FIVES),
    Pair(FIVES, "bybit__BTC-USDT-PERP__1h", "1h", FIVES),
    Pair("binance__BTC-USDT-PERP__5m__20251226", "okx__BTC-USDT-PERP__1m", "5m"),
    Pair("binance__BTC-USDT-PERP__15m__20251226", "okx__BTC-USDT-PERP__1m", "15m"),
    Pair("binance__BTC-USDT-PERP__1h__20251226", "okx__BTC-USDT-PERP__1m", "1h"),
    Pair("bybit__ETH-USDT-PERP__15m", "binance__ETH-USDT-PERP__1m__20250504", "15m"),
    Pair("bybit__BTC-USDT-PERP__15m", "binance__BTC-USDT-PERP__1m__20250504", "15m"),
    Pair("bybit__BTC-USDT-PERP__15m", "binance__BTC-USDT-PERP__15m__20251226", "15m"),
    Pair("bybit__BTC-USDT-PERP__15m", "okx__BTC-USDT-PERP__1m", "15m"),
    Pair("bybit__BTC-USDT-PERP__1h", "binance__BTC-USDT-PERP__1m__20250504", "1h"),
    Pair("bybit__BTC-USDT-PERP__1h", "binance__BTC-USDT-PERP__1h__20251226", "1h"),
    Pair("bybit__BTC-USDT-PERP__1h", "okx__BTC-USDT-PERP__1m", "1h"),
]
SPOT_AND_PERPETUAL = [
    Pair("binance__BTC-USDT-PERP__1h__20241001", "bybit__BTC-USDT-PERP__1h", "1h"),
    Pair(PERP, "bybit__BTC-USDT__5m__20250101", "15m"),
    Pair(FIVES, "bybit__BTC-USDT__5m__20250101", "5m"),
]


@dataclass(frozen=True)
class Dispute:
    """A bar on which two venues disagree: prices and volume of both, and what happened there.

    ``apart_bp``: the largest distance from where the venues usually lie, ``tolerated_bp`` what is let off there.
    ``moved``: the larger of the two bars' ranges, in medians of those around. ``silent``: the primary was, in this bar
    or beside it.
    """

    open_ms: int
    fields: frozenset[str]
    primary: tuple[float, ...]
    other: tuple[float, ...]
    apart_bp: float
    tolerated_bp: float
    moved: float
    silent: bool

    @property
    def why(self) -> str | None:
        """What explains it; None: nothing."""
        if self.silent:
            return "the primary source's outage"
        if self.fields <= {"high", "low"}:
            return "one venue went further"
        if len(self.fields & {"open", "close"}) == 1:
            return "apart for a moment"
        return None


@dataclass(frozen=True)
class Outcome:
    """``in_common``: bars that both venues have; ``kinds``: the open findings beside single disagreements."""

    in_common: int
    disputes: list[Dispute]
    kinds: dict[str, int]

    @property
    def share(self) -> float:
        return len(self.disputes) / self.in_common


def compare_pair(keeper: Keeper, pair: Pair) -> Outcome:
    """Keep the first file from the primary, over the span of both, and let the keeper compare it with the second."""
    primary, other = (added_up(keeper, name, pair.at) for name in pair[:2])
    first, last = (of(primary["open_ms"][place], other["open_ms"][place]) for of, place in ((max, 0), (min, -1)))
    primary, other = (bars[(bars["open_ms"] >= first) & (bars["open_ms"] <= last)] for bars in (primary, other))
    symbol, source = "-".join(pair.primary.split("__")[1].split("-")[:2]), SOURCES[pair.other.split("__")[0]]
    keeper.source_has(PRIMARY, {(symbol, pair.at): primary})
    keeper.source_has(source, {(symbol, pair.at): other})
    window = keeper.keep(symbol, pair.at, primary, (PRIMARY, source))
    keeper.fill(window)
    keeper.validate_whole(window)

    by_bar: dict[int, list[dict[str, Any]]] = {}
    for one in keeper.findings("cross_source"):
        by_bar.setdefault(round(one["start_time"].timestamp() * 1000), []).append(one)
    finer = keeper.read(pair.finer) if pair.finer else primary
    silent_ms = finer["open_ms"][finer["base_volume"] == 0]
    return Outcome(
        in_common=int(np.isin(primary["open_ms"], other["open_ms"]).sum()),
        disputes=[_dispute(open_ms, found, primary, other, silent_ms) for open_ms, found in by_bar.items()],
        kinds={kind: count for kind, count in keeper.kinds().items() if kind != "cross_source"},
    )


def added_up(keeper: Keeper, name: str, at: str) -> Candles:
    """A file's bars at a timeframe; those that are added up without the first and the last, which may lack some."""
    bars = keeper.read(name)
    if name.split("__")[2] == at:
        return bars
    instrument = GivenMarket({("ANY-USDT", at): bars}).instrument("ANY-USDT")
    return grouped(bars, timeframe_named(at), instrument)[1:-1]


def _dispute(
    open_ms: int, found: list[dict[str, Any]], primary: Candles, other: Candles, silent_ms: NDArray[np.int64]
) -> Dispute:
    at, there = (int(np.searchsorted(bars["open_ms"], open_ms)) for bars in (primary, other))
    around = other[max(0, there - BARS_AROUND) : there + BARS_AROUND]
    ranges = [bar["high"] / bar["low"] - 1 for bar in (primary[at], other[there])]
    worst = max(found, key=lambda one: abs(one["difference"] - one["detail"]["offset"]) / one["detail"]["tolerance"])
    step_ms = int(np.diff(primary["open_ms"]).min())
    return Dispute(
        open_ms=open_ms,
        fields=frozenset(one["field"] for one in found),
        primary=tuple(primary[at].tolist()[1:6]),
        other=tuple(other[there].tolist()[1:6]),
        apart_bp=(worst["difference"] - worst["detail"]["offset"]) / BP,
        tolerated_bp=worst["detail"]["tolerance"] / BP,
        moved=float(max(ranges) / np.median(around["high"] / around["low"] - 1)),
        silent=bool(((silent_ms >= open_ms - step_ms) & (silent_ms < open_ms + 2 * step_ms)).any()),
    )
