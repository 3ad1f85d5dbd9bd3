"""Bars that look wrong by themselves, to be confirmed by others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backfill.domain.answers import bar_intervals
from backfill.domain.intervals import Interval, union
from backfill.domain.next_timeframe import is_silent

# Silences per traded bar: below ALWAYS_TRADES any is suspicious, from THIN on none. Perpetuals have 7 (BTC, FIL) to 36
# (XRP 5m) per 100,000, thin ones 1 (ALGO) to 22 (BAX) per 100.
ALWAYS_TRADES, THIN = 1 / 1000, 1 / 50
# Between, those too long for chance at hours this much quieter.
QUIET_HOURS = 10
CHANCE = 0.01

# Shorter distances are common.
FEWEST_BARS, FEWEST_EDGES = 50, 4
LAGS = 8

# In quartiles: the median move is 0 in thin markets.
MOVES_AROUND, FEWEST_MOVES, MOST_QUARTILES, LEAST_JUMP = 240, 30, 20.0, 0.02

Times = NDArray[np.int64]


class PageEdges(NamedTuple):
    """Bars that a fetcher dropped, one run every ``every_bars``."""

    every_bars: int
    missing: list[Interval]


def flat_runs(candles: pd.DataFrame, step_ms: int) -> list[Interval]:
    """Runs of flat bars without volume in a market that otherwise trades in nearly every bar.

    ``candles``: a checked frame, also the measure. Finds all of Binance's on 2024-10-28 and of OKX's halts; none in
    XRP-ETH, ALGO, BAX or Kraken.
    """
    silent = is_silent(candles)
    runs = bar_intervals(candles["open_ms"].to_numpy(np.int64)[silent], step_ms)
    shortest = _shortest_suspicious(len(runs), int((~silent).sum()))
    return [run for run in runs if run.end - run.start >= shortest * step_ms]


def _shortest_suspicious(runs: int, traded: int) -> float:
    # Two more than seen: a short frame proves nothing.
    begin = (runs + 2) / traded if traded else 1.0
    if begin >= THIN:
        return math.inf
    if begin < ALWAYS_TRADES:
        return 1
    return math.ceil(math.log(CHANCE / traded) / math.log(begin * QUIET_HOURS))


def page_edges(missing: Sequence[Interval], step_ms: int) -> PageEdges | None:
    """The missing bars at one distance from each other, None if there is no pattern beyond chance.

    No market lacks every 1000th bar: a fetcher dropped the edge of each page.
    """
    holes = union(missing)
    starts = np.array([hole.start // step_ms for hole in holes], dtype=np.int64)
    if len(starts) < FEWEST_EDGES:
        return None
    best = max((_longest_chain(starts, every) for every in _distances(starts)), key=len, default=starts[:0])
    if len(best) < FEWEST_EDGES or _by_chance(starts, best) > CHANCE:
        return None
    chosen = set(best.tolist())
    return PageEdges(
        every_bars=int(np.diff(best).min()),
        missing=[hole for hole in holes if hole.start // step_ms in chosen],
    )


def _distances(starts: Times) -> list[int]:
    """The most common distances of nearby holes, in bars."""
    apart = np.concatenate([starts[lag:] - starts[:-lag] for lag in range(1, min(LAGS, len(starts) - 1) + 1)])
    distances, times = np.unique(apart[apart >= FEWEST_BARS], return_counts=True)
    common = np.argsort(-times, kind="stable")[:LAGS]
    return [int(distance) for distance in distances[common]]


def _longest_chain(starts: Times, every: int) -> Times:
    """The most holes ``every`` bars apart, at most one skipped between two."""
    order = np.lexsort((starts, starts % every))
    sorted_starts = starts[order]
    step = np.diff(sorted_starts)
    breaks = np.flatnonzero((step != every) & (step != 2 * every)) + 1
    return max(np.split(sorted_starts, breaks), key=len)


def _by_chance(starts: Times, chain: Times) -> float:
    """Expected such chains among random holes of this density."""
    around = np.count_nonzero((starts >= chain[0]) & (starts <= chain[-1]))
    share = around / (chain[-1] - chain[0] + 1)
    # Two holes begin a chain; it continues at either of the next two places.
    return float(len(starts) * LAGS * (2 * share) ** (len(chain) - 2))


def price_jumps(candles: pd.DataFrame, step_ms: int) -> pd.DataFrame:
    """Unusual moves from close to close: ``open_ms``, ``change`` (log return), ``jump`` (its size), ``bound``.

    Only a warning: markets do jump. The bound is 20 times the upper quartile around, at least 2 %. A market goes all
    the way: a bar whose range comes near the last close is none. None of 811,324 real bars is; of bars scaled by 1.05,
    93 to 99 % at 1m and 64 % in 15m of BTC.
    """
    open_ms = candles["open_ms"].to_numpy(np.int64)
    # A market that rested may go on elsewhere, as after a hole.
    traded = ~is_silent(candles)
    follows = (np.diff(open_ms) == step_ms) & traded[1:] & traded[:-1]
    change = np.full(len(candles), np.nan)
    change[1:][follows] = np.diff(np.log(candles["close"].to_numpy(np.float64)))[follows]
    jump, distance = np.abs(change), _distance_from_last_close(candles)
    bound = np.full(len(candles), LEAST_JUMP)
    beyond = (jump > bound) & (distance > bound / 2)
    if beyond.any():  # the quartiles take most of the time
        usual = pd.Series(jump).rolling(MOVES_AROUND, min_periods=FEWEST_MOVES, center=True).quantile(0.75).to_numpy()
        bound = np.maximum(MOST_QUARTILES * usual, LEAST_JUMP)
        beyond = (jump > bound) & (distance > bound / 2)
    columns = {"open_ms": open_ms, "change": change, "jump": jump, "bound": bound}
    return pd.DataFrame({name: column[beyond] for name, column in columns.items()})


def _distance_from_last_close(candles: pd.DataFrame) -> NDArray[np.float64]:
    """From the last close to a bar's range, relative; 0 inside."""
    close = candles["close"].to_numpy(np.float64)
    before = np.concatenate([[np.nan], close[:-1]])[: len(close)]
    low, high = candles["low"].to_numpy(np.float64), candles["high"].to_numpy(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        outside: NDArray[np.float64] = np.maximum(np.maximum(low / before - 1, 1 - high / before), 0.0)
    return outside
