"""Bars that look wrong by themselves: flat ones in a market that trades, jumps, holes at one distance.

Nothing here is proof: what is found is asked for again and compared with other sources. Fitted to real candles; see
each function.
"""

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

# Silences per bar that traded. Below the first figure any silence is suspicious, from the second on none is. Real
# perpetuals have 7 (BTC, FIL) to 36 (XRP 5m) per 100,000 bars, thin ones 1 (ALGO) to 22 (BAX) per 100.
ALWAYS_TRADES, THIN = 1 / 1000, 1 / 50
# Between them a silence is suspicious if it is too long for chance at hours this many times as quiet as most.
QUIET_HOURS = 10
CHANCE = 0.01

# Shorter distances are common where holes are; fewer edges are no pattern.
FEWEST_BARS, FEWEST_EDGES = 50, 4
# At most this many other holes, less one, lie between two edges.
LAGS = 8

# The bound is a multiple of the upper quartile of the moves around; the median is 0 in thin markets.
MOVES_AROUND, FEWEST_MOVES, MOST_QUARTILES, LEAST_JUMP = 240, 30, 20.0, 0.02

Times = NDArray[np.int64]


class PageEdges(NamedTuple):
    """Bars that a fetcher has dropped, one run of them every ``every_bars``."""

    every_bars: int
    missing: list[Interval]


def flat_runs(candles: pd.DataFrame, step_ms: int) -> list[Interval]:
    """Runs of flat bars without volume in a market that otherwise trades in nearly every bar.

    ``candles``: a checked frame, by which the market is judged too. In thin markets nothing is found. Found are all
    that Binance wrote on 2024-10-28 and OKX in its halts; none of the silences of XRP-ETH, ALGO, BAX or Kraken.
    """
    silent = is_silent(candles)
    runs = bar_intervals(candles["open_ms"].to_numpy(np.int64)[silent], step_ms)
    shortest = _shortest_suspicious(len(runs), int((~silent).sum()))
    return [run for run in runs if run.end - run.start >= shortest * step_ms]


def _shortest_suspicious(runs: int, traded: int) -> float:
    """How many silent bars make a run suspicious, in a market with ``runs`` silences in ``traded`` bars."""
    # Two more than were seen: a short frame without a silence does not show that there is none.
    begin = (runs + 2) / traded if traded else 1.0
    if begin >= THIN:
        return math.inf
    if begin < ALWAYS_TRADES:
        return 1
    return math.ceil(math.log(CHANCE / traded) / math.log(begin * QUIET_HOURS))


def page_edges(missing: Sequence[Interval], step_ms: int) -> PageEdges | None:
    """The missing bars that lie at one distance from each other; None if there is no such pattern.

    A market has no reason to lack every 1000th bar: a fetcher dropped the edge of each page. What chance explains in a
    thin market is no pattern.
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
    """The most common distances, in bars, between a hole and the next few."""
    apart = np.concatenate([starts[lag:] - starts[:-lag] for lag in range(1, min(LAGS, len(starts) - 1) + 1)])
    distances, times = np.unique(apart[apart >= FEWEST_BARS], return_counts=True)
    common = np.argsort(-times, kind="stable")[:LAGS]
    return [int(distance) for distance in distances[common]]


def _longest_chain(starts: Times, every: int) -> Times:
    """The most holes that follow each other at ``every`` bars, at most one left out between two."""
    order = np.lexsort((starts, starts % every))
    sorted_starts = starts[order]
    step = np.diff(sorted_starts)
    breaks = np.flatnonzero((step != every) & (step != 2 * every)) + 1
    return max(np.split(sorted_starts, breaks), key=len)


def _by_chance(starts: Times, chain: Times) -> float:
    """How many chains of this length random holes of the same density would have."""
    around = np.count_nonzero((starts >= chain[0]) & (starts <= chain[-1]))
    share = around / (chain[-1] - chain[0] + 1)
    # A chain begins with any two holes, and goes on with the next place or the one after it.
    return float(len(starts) * LAGS * (2 * share) ** (len(chain) - 2))


def price_jumps(candles: pd.DataFrame, step_ms: int) -> pd.DataFrame:
    """Moves from close to close beyond what is usual around: ``open_ms``, ``jump`` (|log return|) and its ``bound``.

    A warning: markets do jump. The bound is 20 times the upper quartile of the moves around, and at least 2 %. Six of
    811,324 real bars exceed it. Of bars scaled by 1.05 it finds 93 to 99 % at 1m, and 64 % in 15m of BTC.
    """
    follows = candles["open_ms"].diff() == step_ms
    jump = pd.Series(np.log(candles["close"].to_numpy())).diff().abs().where(follows.to_numpy())
    usual = jump.rolling(MOVES_AROUND, min_periods=FEWEST_MOVES, center=True).quantile(0.75)
    bound = (MOST_QUARTILES * usual).clip(lower=LEAST_JUMP)
    beyond = (jump > bound).to_numpy()
    columns = {"open_ms": candles["open_ms"].to_numpy(), "jump": jump.to_numpy(), "bound": bound.to_numpy()}
    return pd.DataFrame({name: column[beyond] for name, column in columns.items()})
