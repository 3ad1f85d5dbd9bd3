"""Prove absent or wrong bars by the same source's longer bars.

Where shorter bars add up to a published longer bar, the absent ones had no trade; else one was lost. If none is absent
and the sum differs, one is wrong: a flat bar of an outage, or another instrument's.

A longer bar takes its prices from bars that traded: all 9,351 5m bars of Binance XRP-ETH and KuCoin BAX-USDT open at
their first trade. Sums match within 5e-16 (45,841 longer bars of Binance, Bybit and KuCoin), so more than :data:`NOISE`
is a difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backfill.domain.answers import bar_intervals
from backfill.domain.candle_columns import PRICES
from backfill.domain.intervals import Interval, difference, intersection, union
from backfill.domain.timeframes import MINUTE_MS, TIMEFRAMES, Timeframe, timeframe

if TYPE_CHECKING:
    import pandas as pd

# Relative.
NOISE = 1e-9
# Not the quote volume: sources round it per bar or give it at one timeframe only.
COMPARED = [*PRICES, "volume"]
HIGH, LOW, VOLUME = (COMPARED.index(name) for name in ("high", "low", "volume"))

Times = NDArray[np.int64]
Mask = NDArray[np.bool_]
Values = NDArray[np.float64]  # (longer bars, len(COMPARED)), NaN if unknown


class TimeframeProof(NamedTuple):
    """What the longer bars prove; a bar in no field is undecided.

    ``equal``: longer bars that match complete shorter ones. ``no_trade``, ``lost``: absent shorter bars; of the lost
    under a longer bar at least one traded. ``differing``: contradicted longer bars, a row per field (``open_ms`` int64;
    ``difference`` relative).
    """

    equal: list[Interval]
    no_trade: list[Interval]
    lost: list[Interval]
    differing: pd.DataFrame


def coarser(name: str) -> tuple[Timeframe, ...]:
    """The timeframes that can prove bars of ``name``, nearest first: there a lost bar spoils least.

    Each is at least three bars long, else a page proves little. Without 3m, which half of the sources lack. All grids
    are made of days or divide one.
    """
    lower = timeframe(name)
    return tuple(
        higher
        for higher in TIMEFRAMES.values()
        if higher.step_ms >= max(3 * lower.step_ms, 5 * MINUTE_MS) and higher.step_ms % lower.step_ms == 0
    )


def aggregate(lower: pd.DataFrame, higher_tf: Timeframe) -> pd.DataFrame:
    """The longer bars of ``lower`` (a checked frame), with ``bars``, the number in each.

    Silent bars set no price where another traded. One unknown volume makes the sum unknown.
    """
    import pandas as pd

    return pd.DataFrame(_added_up(lower, higher_tf, is_silent(lower)))


def is_silent(candles: pd.DataFrame) -> Mask:
    """Mask of flat bars without volume."""
    high, low, volume = (candles[name].to_numpy(np.float64) for name in ("high", "low", "volume"))
    flat: Mask = (high == low) & (volume == 0)
    return flat


def prove(
    lower: pd.DataFrame,
    higher: pd.DataFrame,
    lower_tf: Timeframe,
    higher_tf: Timeframe,
    covers: Interval,
    absent: Sequence[Interval],
    excluded: Sequence[Interval] = (),
    closed: Sequence[Interval] = (),
) -> TimeframeProof:
    """What longer bars (``higher``) prove about ``lower``: checked frames of one source.

    A longer bar missing in ``covers`` proves nothing: it may be lost too. Only ``absent`` shorter bars can be proved,
    to be without trade if those present add up. If not, a longer bar is undecided where a shorter one is neither
    present nor absent, and always if it touches ``excluded``. ``closed``: shorter bars that no market can have; they
    hide nothing.
    """
    span = Interval(higher_tf.ceil(covers.start), higher_tf.floor(covers.end))
    opens_ms = np.arange(*span, higher_tf.step_ms, dtype=np.int64)
    lower_ms = lower["open_ms"].to_numpy(np.int64)
    lower = lower[(lower_ms >= span.start) & (lower_ms < span.end)]
    absent_ms = _absent_opens(lower, lower_tf, intersection(difference(absent, closed), [span]))
    parent = (absent_ms - span.start) // higher_tf.step_ms
    holes = np.bincount(parent, minlength=len(opens_ms))
    closed_ms = _absent_opens(lower, lower_tf, intersection(closed, [span]))
    shut = np.bincount((closed_ms - span.start) // higher_tf.step_ms, minlength=len(opens_ms))

    added = _added_up(lower, higher_tf, is_silent(lower))
    mine = _values_at(opens_ms, added)
    theirs = _values_at(opens_ms, {name: higher[name].to_numpy() for name in ("open_ms", *COMPARED)})
    # Some sources add up silent bars too: a longer bar opens at the price before.
    plain = _values_at(opens_ms, _added_up(lower, higher_tf, silent=np.zeros(len(lower), dtype=bool)))
    differs = _differs(mine, theirs)
    equal = ~differs.any(axis=1) | ~_differs(plain, theirs).any(axis=1)

    bars = np.zeros(len(opens_ms), dtype=np.int64)
    bars[np.isin(opens_ms, added["open_ms"])] = added["bars"]
    is_ours = ~_touches(opens_ms, higher_tf, excluded)
    told = is_ours & (bars + holes + shut == higher_tf.step_ms // lower_tf.step_ms)
    published = np.isin(opens_ms, higher["open_ms"].to_numpy())
    published_silent = np.isin(opens_ms, higher["open_ms"].to_numpy()[is_silent(higher)])
    nobody_traded = (bars == 0) | (mine[:, VOLUME] == 0)
    adds_up = np.where(bars > 0, equal, published_silent)
    unknown = np.isnan(theirs[:, VOLUME]) | (np.isnan(mine[:, VOLUME]) & (bars > 0))

    # No absent bar could explain these.
    contradicted = differs & ((holes == 0)[:, None] | (_exceeds(mine, theirs) & ~nobody_traded[:, None]))
    contradicted &= (told & ~adds_up)[:, None]
    holed = is_ours & (holes > 0) & ~contradicted.any(axis=1)
    no_trade = holed & published & adds_up & ~unknown  # an absent longer bar proves nothing
    lost = holed & told & ~adds_up & ~(unknown & (bars == 0))
    return TimeframeProof(
        equal=bar_intervals(opens_ms[told & published & (holes == 0) & equal], higher_tf.step_ms),
        no_trade=bar_intervals(absent_ms[no_trade[parent]], lower_tf.step_ms),
        lost=bar_intervals(absent_ms[lost[parent]], lower_tf.step_ms),
        differing=_table(opens_ms, mine, theirs, contradicted),
    )


def _added_up(lower: pd.DataFrame, higher_tf: Timeframe, silent: Mask) -> dict[str, NDArray[Any]]:
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
    return {
        "open_ms": parents_ms[firsts],
        "open": prices["open"][opening],
        "high": np.maximum.reduceat(np.where(speaks, prices["high"], -np.inf), firsts),
        "low": np.minimum.reduceat(np.where(speaks, prices["low"], np.inf), firsts),
        "close": prices["close"][closing],
        "volume": np.add.reduceat(lower["volume"].to_numpy(np.float64), firsts),
        "quote_volume": np.add.reduceat(lower["quote_volume"].to_numpy(np.float64), firsts),
        "bars": bars,
    }


def _absent_opens(lower: pd.DataFrame, lower_tf: Timeframe, absent: Sequence[Interval]) -> Times:
    step_ms = lower_tf.step_ms
    spans = [np.arange(lower_tf.ceil(start), end - step_ms + 1, step_ms, dtype=np.int64) for start, end in absent]
    opens_ms = np.concatenate([np.empty(0, np.int64), *spans])
    return opens_ms[~np.isin(opens_ms, lower["open_ms"].to_numpy())]


def _touches(opens_ms: Times, timeframe: Timeframe, intervals: Sequence[Interval]) -> Mask:
    joined = union(intervals)
    starts = np.array([*(i.start for i in joined), np.iinfo(np.int64).max])
    following = np.searchsorted([i.end for i in joined], opens_ms, side="right")
    return starts[following] < opens_ms + timeframe.step_ms


def _values_at(opens_ms: Times, candles: Mapping[str, NDArray[Any]]) -> Values:
    _, at, of = np.intersect1d(opens_ms, candles["open_ms"], assume_unique=True, return_indices=True)
    values = np.full((len(opens_ms), len(COMPARED)), np.nan)
    values[at] = np.column_stack([candles[name].astype(np.float64)[of] for name in COMPARED])
    return values


def _difference(mine: Values, theirs: Values) -> Values:
    larger = np.maximum(np.maximum(np.abs(mine), np.abs(theirs)), np.finfo(np.float64).tiny)
    return np.abs(mine - theirs) / larger


def _differs(mine: Values, theirs: Values) -> Mask:
    return _difference(mine, theirs) > NOISE


def _exceeds(mine: Values, theirs: Values) -> Mask:
    beyond = np.zeros(mine.shape, dtype=bool)
    beyond[:, HIGH] = mine[:, HIGH] > theirs[:, HIGH]
    beyond[:, LOW] = mine[:, LOW] < theirs[:, LOW]
    beyond[:, VOLUME] = mine[:, VOLUME] > theirs[:, VOLUME]
    return beyond


def _table(opens_ms: Times, mine: Values, theirs: Values, contradicted: Mask) -> pd.DataFrame:
    import pandas as pd

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
