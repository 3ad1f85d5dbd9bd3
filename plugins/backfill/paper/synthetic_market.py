"""A market computed from a seed: any minute of any year, without the minutes before it.

A coin's day is 1440 minutes: a random walk from its level at one midnight to its level at the next, so each minute
opens at the previous close. Levels are random at knots 1, 4, 16, 64 and 256 days apart, interpolated linearly and
summed.

All is in whole numbers (ticks, lots, 1/10,000 of the quote currency), so a higher bar is the *exact* aggregate of its
minutes. The candles have no jumps, trends or news.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Literal
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from backfill.domain.timeframes import DAY_MS, MINUTE_MS, Timeframe
from backfill.domain.timeframes import timeframe as timeframe_named
from backfill.paper.coins import LIQUID_COINS, Coin
from backfill.paper.market import CANDLE, NO_CANDLES, Candles, PaperMarket

DAY_MINUTES = 1440
KNOT_DAYS = (1, 4, 16, 64, 256)
QUOTE_UNITS = 10_000  # Blofin's quote volumes have four decimals

OPEN, HIGH, LOW, CLOSE, LOTS, QUOTE = range(6)
Rows = NDArray[np.int64]  # shape (bars, 6): open, high, low, close in ticks, lots, quote units

# Busiest in the afternoon UTC, when Europe and America overlap.
_ACTIVITY = 1 - 0.45 * np.cos(2 * np.pi * (np.arange(DAY_MINUTES) / DAY_MINUTES - 1 / 8))


class SyntheticMarket(PaperMarket):
    """The coins' candles under one ``seed``; equal arguments give equal digits.

    ``quiet_share`` of the minutes have no trade; ``quiet_bars``: shown as flat bars of zero volume, or absent.
    ``cached_days`` blocks of 70 kB are kept.
    """

    def __init__(
        self,
        seed: int = 7,
        coins: Sequence[Coin] = LIQUID_COINS,
        quiet_share: float = 0.0,
        quiet_bars: Literal["flat", "absent"] = "flat",
        cached_days: int = 2048,
    ) -> None:
        super().__init__([coin.instrument for coin in coins])
        self.seed = seed
        self.quiet_share = quiet_share
        self.quiet_bars = quiet_bars
        self._coins = {coin.instrument.symbol: coin for coin in coins}
        self._day = lru_cache(maxsize=cached_days)(self._make_day)
        self._level = lru_cache(maxsize=8 * cached_days)(self._make_level)
        self._knot = lru_cache(maxsize=8 * cached_days)(self._make_knot)

    def describe(self) -> dict[str, object]:
        """The seed and the symbols."""
        return {"kind": "synthetic", "seed": self.seed, "symbols": list(self._coins)}

    def candles(self, symbol: str, timeframe: str, start_ms: int, end_ms: int, now_ms: int | None = None) -> Candles:
        """See :meth:`PaperMarket.candles`. The running bar holds a share of its running minute."""
        bar = timeframe_named(timeframe)
        listed_ms = self.instrument(symbol).listed_ms
        start_ms = max(bar.ceil(start_ms), bar.floor(listed_ms))
        end_ms = bar.ceil(end_ms)
        if now_ms is not None:
            end_ms = min(end_ms, bar.floor(now_ms) + bar.step_ms)
        if start_ms >= end_ms or (now_ms is not None and now_ms < listed_ms):
            return NO_CANDLES
        minutes = self._minutes(symbol, start_ms, end_ms)
        _silence_before(minutes, (listed_ms - start_ms) // MINUTE_MS)
        if now_ms is not None and now_ms < end_ms:
            _cut_at(minutes, now_ms - start_ms)
        return self._as_candles(self._coins[symbol], bar, start_ms, _aggregate(minutes, bar))

    def _as_candles(self, coin: Coin, bar: Timeframe, start_ms: int, rows: Rows) -> Candles:
        instrument = coin.instrument
        candles = np.empty(len(rows), dtype=CANDLE)
        candles["open_ms"] = start_ms + bar.step_ms * np.arange(len(rows))
        for name, column in (("open", OPEN), ("high", HIGH), ("low", LOW), ("close", CLOSE)):
            candles[name] = _times(rows[:, column], instrument.tick_size)
        candles["base_volume"] = _times(rows[:, LOTS], instrument.lot_size * instrument.contract_value)
        candles["quote_volume"] = rows[:, QUOTE] / QUOTE_UNITS
        return candles[rows[:, LOTS] > 0] if self.quiet_bars == "absent" else candles

    def _minutes(self, symbol: str, start_ms: int, end_ms: int) -> Rows:
        first, last = start_ms // DAY_MS, (end_ms - 1) // DAY_MS
        days = np.concatenate([self._day(symbol, day) for day in range(first, last + 1)])
        offset = (start_ms - first * DAY_MS) // MINUTE_MS
        return days[offset : offset + (end_ms - start_ms) // MINUTE_MS]

    def _make_day(self, symbol: str, day: int) -> Rows:
        coin = self._coins[symbol]
        tick = float(coin.instrument.tick_size)
        lot = float(coin.instrument.lot_size * coin.instrument.contract_value)
        rng = np.random.default_rng([self.seed, crc32(symbol.encode()), day])
        spread = coin.daily_volatility / np.sqrt(DAY_MINUTES) * _ACTIVITY
        moves, up, down, appetite = rng.standard_normal((4, DAY_MINUTES))
        trades = rng.random(DAY_MINUTES) >= self.quiet_share
        trades[-1] = True  # the walk needs a trade to end on the next day's level

        opening, closing = self._level(symbol, day), self._level(symbol, day + 1)
        steps = moves * spread * trades
        steps += trades * ((closing - opening - steps.sum()) / trades.sum())
        walk = opening + np.concatenate([[0.0], np.cumsum(steps)])
        walk[-1] = closing
        ticks = np.maximum(1, np.rint(np.exp(walk) / tick)).astype(np.int64)

        rows = np.empty((DAY_MINUTES, 6), dtype=np.int64)
        rows[:, OPEN], rows[:, CLOSE] = ticks[:-1], ticks[1:]
        wick = 0.6 * spread * ticks[:-1] * trades
        wick_up, wick_down = (np.abs([up, down]) * wick).astype(np.int64)
        rows[:, HIGH] = np.maximum(ticks[:-1], ticks[1:]) + wick_up
        rows[:, LOW] = np.maximum(1, np.minimum(ticks[:-1], ticks[1:]) - wick_down)
        mean_lots = coin.daily_turnover / DAY_MINUTES / (coin.price * lot)
        bustle = (0.4 + 0.6 * np.abs(moves)) * _ACTIVITY * np.exp(0.8 * appetite - 0.32)
        rows[:, LOTS] = (1 + (mean_lots * bustle).astype(np.int64)) * trades
        average_price = rows[:, [OPEN, HIGH, LOW, CLOSE]].mean(axis=1) * tick
        rows[:, QUOTE] = np.rint(rows[:, LOTS] * lot * average_price * QUOTE_UNITS).astype(np.int64)
        return rows

    def _make_level(self, symbol: str, day: int) -> float:
        """The coin's log price at 00:00 UTC of ``day`` (days since the epoch)."""
        coin = self._coins[symbol]
        level = float(np.log(coin.price))
        for apart in KNOT_DAYS:
            knot, days_past = divmod(day, apart)
            here, there = self._knot(symbol, apart, knot), self._knot(symbol, apart, knot + 1)
            swing = here + (there - here) * days_past / apart
            level += 0.5 * coin.daily_volatility * float(np.sqrt(apart)) * swing
        return level

    def _make_knot(self, symbol: str, apart: int, knot: int) -> float:
        rng = np.random.default_rng([self.seed, crc32(symbol.encode()), knot, apart])
        return float(rng.standard_normal())


def _aggregate(minutes: Rows, bar: Timeframe) -> Rows:
    size = bar.step_ms // MINUTE_MS
    if size == 1:
        return minutes
    groups = minutes.reshape(-1, size, 6)
    rows = np.empty((len(groups), 6), dtype=np.int64)
    rows[:, OPEN], rows[:, CLOSE] = groups[:, 0, OPEN], groups[:, -1, CLOSE]
    rows[:, HIGH], rows[:, LOW] = groups[:, :, HIGH].max(axis=1), groups[:, :, LOW].min(axis=1)
    rows[:, LOTS:] = groups[:, :, LOTS:].sum(axis=1)
    return rows


def _silence_before(minutes: Rows, count: int) -> None:
    """Flatten the ``count`` minutes before the listing to the open after them."""
    if count > 0:
        minutes[:count, :LOTS] = minutes[count, OPEN]
        minutes[:count, LOTS:] = 0


def _cut_at(minutes: Rows, elapsed_ms: int) -> None:
    """Keep what traded within ``elapsed_ms``: of the running minute a share."""
    running, into_ms = divmod(elapsed_ms, MINUTE_MS)
    opened, lots = minutes[running, OPEN], minutes[running, LOTS]
    # Truncation towards zero keeps the order low <= close <= high.
    moved = (minutes[running, HIGH:LOTS] - opened) * into_ms / MINUTE_MS
    minutes[running, HIGH:LOTS] = opened + np.trunc(moved).astype(np.int64)
    if lots > 0:
        traded = max(1, int(lots * into_ms // MINUTE_MS))
        minutes[running, QUOTE] = minutes[running, QUOTE] * traded // lots
        minutes[running, LOTS] = traded
    minutes[running + 1 :, :LOTS] = minutes[running, CLOSE]
    minutes[running + 1 :, LOTS:] = 0


def _times(whole: NDArray[np.int64], unit: Decimal) -> NDArray[np.float64]:
    """``whole * unit``, rounded once to the nearest double."""
    numerator, denominator = unit.as_integer_ratio()
    return whole * numerator / denominator
