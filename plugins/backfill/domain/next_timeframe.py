"""TimeframeProof by the next timeframe: what a source's longer bars say about its shorter ones.

A source publishes the same trades as bars of several lengths. Where the shorter bars that are there already add up to
the published longer bar, the absent ones had no trade; where they do not, a bar was lost. Where all are there and do
not add up, one of them is not what was traded: a flat bar written in an outage, another instrument's bar.

A longer bar takes its prices from the bars that traded: of 9,351 published 5m bars of Binance XRP-ETH and KuCoin
BAX-USDT every one opens at its first trade, not at the flat bar of no volume that may stand before it. Complete bars
add up to the published ones within 5e-16, prices and volumes alike (45,841 longer bars of Binance, Bybit and KuCoin,
of up to 16 bars each), so what differs by more than :data:`NOISE` differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backfill.domain.answers import bar_intervals
from backfill.domain.candle_columns import PRICES
from backfill.domain.intervals import Interval, intersection, union
from backfill.domain.timeframes import MINUTE_MS, TIMEFRAMES, Timeframe, timeframe

# What two sums of the same numbers may differ by, relative to the larger.
NOISE = 1e-9
# Not the quote volume: sources round it bar by bar, and some tell it at one timeframe only.
COMPARED = [*PRICES, "volume"]
HIGH, LOW, VOLUME = (COMPARED.index(name) for name in ("high", "low", "volume"))

Times = NDArray[np.int64]
Mask = NDArray[np.bool_]
Values = NDArray[np.float64]  # shape (longer bars, len(COMPARED)); NaN: unknown, or no such bar


class TimeframeProof(NamedTuple):
    """What the longer bars settle; one that is in none of these settles nothing.

    ``equal``: longer bars that their shorter ones, all there, add up to. ``no_trade`` and ``lost``: shorter bars that
    are absent; of those lost under one longer bar, at least one has traded. ``differing``: longer bars that their
    shorter ones contradict: ``open_ms`` (int64), ``field``, ``lower_value``, ``higher_value`` and their ``difference``
    relative to the larger, a row for each field.
    """

    equal: list[Interval]
    no_trade: list[Interval]
    lost: list[Interval]
    differing: pd.DataFrame


def coarser(name: str) -> tuple[Timeframe, ...]:
    """The timeframes that can prove bars of ``name``, the nearest first: one lost bar spoils least there.

    Each has at least three of its bars: a page that covers less settles little more than asking again. Never 3m,
    which half of the sources do not publish. Every grid is made of days or divides one, so the steps alone decide.
    """
    lower = timeframe(name)
    return tuple(
        higher
        for higher in TIMEFRAMES.values()
        if higher.step_ms >= max(3 * lower.step_ms, 5 * MINUTE_MS) and higher.step_ms % lower.step_ms == 0
    )


def aggregate(lower: pd.DataFrame, higher_tf: Timeframe) -> pd.DataFrame:
    """The longer bars that ``lower`` adds up to: the candle columns and ``bars``, how many are in each.

    ``lower`` is a checked candle frame. Its silent bars (flat, no volume) set no price where another bar traded. A
    longer bar with one unknown volume in it has an unknown volume.
    """
    return _added_up(lower, higher_tf, is_silent(lower))


def is_silent(candles: pd.DataFrame) -> Mask:
    """Which bars are flat and without volume: how exchanges and stores write a bar without trade."""
    flat = (candles["high"] == candles["low"]) & (candles["volume"] == 0)
    return flat.to_numpy()


def prove(
    lower: pd.DataFrame,
    higher: pd.DataFrame,
    lower_tf: Timeframe,
    higher_tf: Timeframe,
    covers: Interval,
    absent: Sequence[Interval],
    excluded: Sequence[Interval] = (),
) -> TimeframeProof:
    """What the longer bars ``higher`` say about ``lower``: checked candle frames of one source.

    ``covers`` is the span that ``higher`` speaks for. A longer bar that it lacks in there proves nothing: it may be as
    lost as the shorter ones. ``absent`` is what the source has no candle for of the shorter bars: only those can
    have had no trade, or be lost. There is no verdict on a longer bar one of whose shorter bars is neither there nor
    absent, or that touches ``excluded``.
    """
    span = Interval(higher_tf.ceil(covers.start), higher_tf.floor(covers.end))
    opens_ms = np.arange(*span, higher_tf.step_ms, dtype=np.int64)
    lower = lower[lower["open_ms"].between(*span, inclusive="left")]
    absent_ms = _absent_opens(lower, lower_tf, intersection(absent, [span]))
    parent = (absent_ms - span.start) // higher_tf.step_ms
    holes = np.bincount(parent, minlength=len(opens_ms))

    added = aggregate(lower, higher_tf)
    mine, theirs = _values_at(opens_ms, added), _values_at(opens_ms, higher)
    # A source may add up its silent bars too: then a longer bar opens at the price before it, and is as good.
    plain = _values_at(opens_ms, _added_up(lower, higher_tf, silent=np.zeros(len(lower), dtype=bool)))
    differs = _differs(mine, theirs)
    equal = ~differs.any(axis=1) | ~_differs(plain, theirs).any(axis=1)

    bars = added.set_index("open_ms")["bars"].reindex(opens_ms, fill_value=0).to_numpy()
    told = (bars + holes == higher_tf.step_ms // lower_tf.step_ms) & ~_touches(opens_ms, higher_tf, excluded)
    published = np.isin(opens_ms, higher["open_ms"])
    published_silent = np.isin(opens_ms, higher.loc[is_silent(higher), "open_ms"])
    nobody_traded = (bars == 0) | (mine[:, VOLUME] == 0)
    adds_up = np.where(bars > 0, equal, published_silent)
    unknown = np.isnan(theirs[:, VOLUME]) | (np.isnan(mine[:, VOLUME]) & (bars > 0))

    # No absent bar can make these good.
    contradicted = differs & ((holes == 0)[:, None] | (_exceeds(mine, theirs) & ~nobody_traded[:, None]))
    contradicted &= (told & ~adds_up)[:, None]
    holed = told & (holes > 0) & ~contradicted.any(axis=1)
    no_trade = holed & published & adds_up & ~unknown  # a longer bar that is absent too proves nothing
    lost = holed & ~adds_up & ~(unknown & (bars == 0))
    return TimeframeProof(
        equal=bar_intervals(opens_ms[told & published & (holes == 0) & equal], higher_tf.step_ms),
        no_trade=bar_intervals(absent_ms[no_trade[parent]], lower_tf.step_ms),
        lost=bar_intervals(absent_ms[lost[parent]], lower_tf.step_ms),
        differing=_table(opens_ms, mine, theirs, contradicted),
    )


def _added_up(lower: pd.DataFrame, higher_tf: Timeframe, silent: Mask) -> pd.DataFrame:
    """:func:`aggregate`, in which ``silent`` bars set no price where there is another."""
    opens_ms = lower["open_ms"].to_numpy(np.int64)
    parents_ms = opens_ms - (opens_ms - higher_tf.anchor_ms) % higher_tf.step_ms
    firsts = np.flatnonzero(np.diff(parents_ms, prepend=parents_ms[:1] - 1))
    bars = np.diff(firsts, append=len(lower))
    prices = {name: lower[name].to_numpy(np.float64) for name in PRICES}
    speaks = ~silent
    speaks |= np.repeat(~np.logical_or.reduceat(speaks, firsts), bars)
    places = np.arange(len(lower))
    opening = np.minimum.reduceat(np.where(speaks, places, len(lower)), firsts)
    closing = np.maximum.reduceat(np.where(speaks, places, -1), firsts)
    return pd.DataFrame(
        {
            "open_ms": parents_ms[firsts],
            "open": prices["open"][opening],
            "high": np.maximum.reduceat(np.where(speaks, prices["high"], -np.inf), firsts),
            "low": np.minimum.reduceat(np.where(speaks, prices["low"], np.inf), firsts),
            "close": prices["close"][closing],
            "volume": np.add.reduceat(lower["volume"].to_numpy(np.float64), firsts),
            "quote_volume": np.add.reduceat(lower["quote_volume"].to_numpy(np.float64), firsts),
            "bars": bars,
        }
    )


def _absent_opens(lower: pd.DataFrame, lower_tf: Timeframe, absent: Sequence[Interval]) -> Times:
    """The open times of the whole bars in ``absent``, ascending, without those that are there after all."""
    step_ms = lower_tf.step_ms
    spans = [np.arange(lower_tf.ceil(start), end - step_ms + 1, step_ms, dtype=np.int64) for start, end in absent]
    opens_ms = np.concatenate([np.empty(0, np.int64), *spans])
    return opens_ms[~np.isin(opens_ms, lower["open_ms"])]


def _touches(opens_ms: Times, timeframe: Timeframe, intervals: Sequence[Interval]) -> Mask:
    """Which bars have a millisecond in ``intervals``."""
    joined = union(intervals)
    starts = np.array([*(i.start for i in joined), np.iinfo(np.int64).max])
    following = np.searchsorted([i.end for i in joined], opens_ms, side="right")
    return starts[following] < opens_ms + timeframe.step_ms


def _values_at(opens_ms: Times, candles: pd.DataFrame) -> Values:
    return candles.set_index("open_ms")[COMPARED].reindex(opens_ms).to_numpy(np.float64)


def _difference(mine: Values, theirs: Values) -> Values:
    """How far apart, relative to the larger; NaN where one is unknown."""
    larger = np.maximum(np.maximum(np.abs(mine), np.abs(theirs)), np.finfo(np.float64).tiny)
    return np.abs(mine - theirs) / larger


def _differs(mine: Values, theirs: Values) -> Mask:
    """What is known on both sides and is not the same."""
    return _difference(mine, theirs) > NOISE


def _exceeds(mine: Values, theirs: Values) -> Mask:
    """Where a part goes beyond the whole: a higher high, a lower low, more volume."""
    beyond = np.zeros(mine.shape, dtype=bool)
    beyond[:, HIGH] = mine[:, HIGH] > theirs[:, HIGH]
    beyond[:, LOW] = mine[:, LOW] < theirs[:, LOW]
    beyond[:, VOLUME] = mine[:, VOLUME] > theirs[:, VOLUME]
    return beyond


def _table(opens_ms: Times, mine: Values, theirs: Values, contradicted: Mask) -> pd.DataFrame:
    bar, field = np.nonzero(contradicted)
    return pd.DataFrame(
        {
            "open_ms": opens_ms[bar],
            "field": np.array(COMPARED, dtype=object)[field],
            "lower_value": mine[bar, field],
            "higher_value": theirs[bar, field],
            "difference": _difference(mine, theirs)[bar, field],
        }
    )
