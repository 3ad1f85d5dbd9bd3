"""Candles that we made up, with the faults and the oddities of real ones at the places where tests look for them.

A series is called what the file of real candles is called that it stands for, and has its span, its holes and its
bars without volume. Prices are a random walk for each coin; the venues follow it with an offset that drifts and a
little noise; longer bars add up the minutes. The two venues of one coin lie apart as real ones do: by 1 bp, and spot
by 3.5 bp more, with 0.13 times the volume.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from backfill.domain.timeframes import HOUR_MS, MINUTE_MS
from backfill.domain.timeframes import timeframe as timeframe_named
from backfill.paper.market import CANDLE, Candles

BP = 1e-4
PRICES = ("open", "high", "low", "close")
SPOT_BASIS, SPOT_VOLUME = 3.5 * BP, 0.13


def at(time: str) -> int:
    return round(datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp() * 1000)


class Coin(NamedTuple):
    """A market: when its walk begins and ends, its first price and tick, how far it moves a minute."""

    first: str
    past: str
    price: float
    tick: float
    move: float = 2.5 * BP
    # Sudden moves that last: when, and how far.
    leaps: tuple[tuple[str, float], ...] = ()


COINS = {
    # Leaps while Binance's archive stood still, so that its flat bars are seen to be wrong.
    "BTC": Coin(
        *("2023-11-29", "2026-02-08T13:00", 40_000, 0.1),
        leaps=(
            *(("2024-10-28T16:27", 0.003), ("2024-10-28T16:37", -0.003)),
            *(("2024-10-28T20:03", 0.004), ("2024-10-28T21:08", 0.002), ("2025-01-29T01:32", 0.001)),
        ),
    ),
    "ETH": Coin("2023-12-18", "2026-01-05T12:15", 2500, 0.01),
    "DOGE": Coin("2025-12-26T22:30", "2026-01-29T12:00", 0.15, 0.00001, 8 * BP, (("2026-01-10T07:31", 0.055),)),
    "DOT": Coin("2025-11-01", "2025-12-01", 3, 0.0001, 5 * BP, (("2025-11-07T09:15", -0.04),)),
    "ALGO": Coin("2024-09-01", "2024-10-01", 0.13, 0.00001, 5 * BP),
    "FIL": Coin("2024-10-01", "2024-11-01", 3.7, 0.001, 5 * BP),
    "XRP-ETH": Coin("2019-10-11", "2019-10-13T11:20", 0.0014, 1e-8, 5 * BP),
    "BTC-USD": Coin("2019-03-29", "2019-03-30", 4000, 0.1),
    "OLD-ADA": Coin("2018-01-10", "2018-02-05", 0.00005, 1e-9, 10 * BP),
    "OLDER-ADA": Coin("2017-11-20", "2017-12-11", 0.000004, 1e-10, 10 * BP),
    "EDG": Coin(
        *("2017-11-08", "2017-11-19", 0.00007, 1e-9, 10 * BP),
        leaps=(("2017-11-10T06:00", 0.2), ("2017-11-12T06:00", -0.15), ("2017-11-14T06:00", 0.18)),
    ),
    "MEME": Coin("2018-01-25", "2018-02-05", 0.0001, 1e-9, 10 * BP),
    "SNT": Coin("2017-11-08", "2017-11-19", 0.00001, 1e-10, 10 * BP),
    "XZC": Coin("2017-11-04", "2017-11-16", 0.002, 1e-8, 10 * BP),
    "XRP": Coin("2022-05-01", "2023-01-01", 0.5, 0.00001, 4 * BP),
    "NEW-XRP": Coin("2025-11-21", "2025-12-07", 2.1, 0.0001, 4 * BP),
    "KUCOIN-BTC": Coin("2023-02-18", "2023-03-22", 24_000, 0.1),
    "BAX": Coin("2023-02-24", "2023-04-05", 0.0001, 1e-9, 8 * BP, (("2023-03-12T10:00", 0.035),)),
    "KRAKEN-BTC": Coin("2025-11-10T12:00", "2025-11-11T00:30", 105_000, 0.1),
}

Change = Callable[[Candles], Candles]


class Series(NamedTuple):
    """What a file holds: its coin, the times of the first and the last bar, and what is done to the true bars.

    ``fine``: done to the minutes, before they are added up; ``own``: to the bars themselves.
    """

    coin: str
    first: str
    last: str
    own: Change | None = None
    fine: Change | None = None
    spot: bool = False


# -- what is done to bars --------------------------------------------------------------------------------------------


def without(*opens: str) -> Change:
    return lambda bars: bars[~np.isin(bars["open_ms"], [at(time) for time in opens])]


def without_places(first: int, every: int, run: int = 1) -> Change:
    """Bars left out at a constant distance, as a downloader does that drops the edge of each page."""

    def change(bars: Candles) -> Candles:
        place = np.arange(len(bars)) - first
        return bars[(place < 0) | (place % every >= run)]

    return change


def without_runs(*runs: tuple[int, int]) -> Change:
    """Runs of bars left out, each given as its first place and its length."""
    gone = np.concatenate([np.arange(first, first + length) for first, length in runs])

    def change(bars: Candles) -> Candles:
        return np.delete(bars, gone)

    return change


def flat(*spans: tuple[str, str]) -> Change:
    """Bars of no volume at the last price, in [first, past)."""

    def change(bars: Candles) -> Candles:
        is_silent = np.zeros(len(bars), dtype=bool)
        for first, past in spans:
            is_silent |= (bars["open_ms"] >= at(first)) & (bars["open_ms"] < at(past))
        return silenced(bars, is_silent)

    return change


def silent(count: int, *, first: str | None = None, past: str | None = None) -> Change:
    """``count`` bars of no volume, anywhere in [first, past) but at the edges."""

    def change(bars: Candles) -> Candles:
        begin = int(np.searchsorted(bars["open_ms"], at(first))) if first else 0
        end = int(np.searchsorted(bars["open_ms"], at(past))) if past else len(bars)
        places = np.random.default_rng(3).choice(np.arange(begin + 1, end - 1), count, replace=False)
        is_silent = np.zeros(len(bars), dtype=bool)
        is_silent[places] = True
        return silenced(bars, is_silent)

    return change


def silenced(bars: Candles, is_silent: NDArray[np.bool_]) -> Candles:
    """Bars of no volume at the close before them; the next bar opens where it did."""
    told = bars.copy()
    last_traded = np.maximum.accumulate(np.where(is_silent, 0, np.arange(len(bars))))
    for price in PRICES:
        told[price][is_silent] = bars["close"][last_traded[is_silent]]
    told["base_volume"][is_silent] = 0
    return told


def thinned(count: int) -> Change:
    """``count`` bars taken out at random, neither the first nor the last."""

    def change(bars: Candles) -> Candles:
        return np.delete(bars, np.random.default_rng(5).choice(np.arange(1, len(bars) - 1), count, replace=False))

    return change


def traded_only(bars: Candles) -> Candles:
    return bars[bars["base_volume"] > 0]


def late_by_an_hour(bars: Candles) -> Candles:
    told = bars.copy()
    told["open_ms"] += HOUR_MS
    return told


def in_turn(*changes: Change) -> Change:
    def change(bars: Candles) -> Candles:
        for one in changes:
            bars = one(bars)
        return bars

    return change


# -- the series ------------------------------------------------------------------------------------------------------

OUTAGE = flat(("2024-10-28T16:25", "2024-10-28T16:35"), ("2024-10-28T20:00", "2024-10-28T21:10"))
# A 5m bar that the 15m bars know nothing of: they count the quarter of their volume that traded in it.
LATER_FLAT = flat(("2025-01-29T01:30", "2025-01-29T01:35"))
SILENT_XRP_ETH = silent(1091)
SILENT_BAX = silent(11_896, first="2023-03-05T11:30", past="2023-04-04T11:25")
LOST_PAGES = without_places(500, 10**9, 500), without_places(1900, 10**9, 500)
PERPETUAL_AGAIN = "2025-02-18T11:00"  # Of the file that holds spot, the newest 47 hours.
WINTER = "2024-10-01", "2025-02-20"
NEW_YEAR = "2025-12-26", "2026-01-29"


def _market_orders(bars: Candles) -> Candles:
    """Three minutes in which one venue went further than the others."""
    told = bars.copy()
    for time in ("2024-11-06T03:07", "2024-11-07T14:52", "2024-11-08T22:31"):
        told["high"][told["open_ms"] == at(time)] *= 1.004
    return told


def _known_volumes(bars: Candles) -> Candles:
    """Of the 15 minutes from 01:30 on, the first five have 2 coins each and the others 3."""
    told = bars.copy()
    place = int(np.searchsorted(bars["open_ms"], at("2025-01-29T01:30")))
    told["base_volume"][place : place + 15] = [2] * 5 + [3] * 10
    return told


BINANCES_WINTER = in_turn(OUTAGE, flat(("2025-02-03T04:05", "2025-02-03T04:10")), _known_volumes)

SERIES = {
    "binance__BTC-USDT-PERP__1m__20250504": Series("BTC", "2025-05-04T15:33", "2025-06-03T15:31"),
    "binance__ETH-USDT-PERP__1m__20250504": Series("ETH", "2025-05-04T15:33", "2025-06-15T10:43"),
    "binance__DOT-USDT-PERP__1m__202511": Series("DOT", "2025-11-01", "2025-11-30T23:59"),
    "binance__ALGO-USDT-PERP__1m__202409": Series("ALGO", "2024-09-01", "2024-09-30T23:59", silent(446)),
    "binance__FIL-USDT-PERP__1m__202410": Series(
        *("FIL", "2024-10-01", "2024-10-31T23:59"), in_turn(OUTAGE, flat(("2024-10-29T03:00", "2024-10-29T03:09")))
    ),
    "binance__BTC-USDT-PERP__5m__20241001": Series("BTC", WINTER[0], f"{WINTER[1]}T10:20", LATER_FLAT, BINANCES_WINTER),
    "binance__BTC-USDT-PERP__15m__20241001": Series("BTC", WINTER[0], f"{WINTER[1]}T10:00", fine=BINANCES_WINTER),
    "binance__BTC-USDT-PERP__1h__20241001": Series(
        *("BTC", WINTER[0], f"{WINTER[1]}T09:00"), in_turn(*LOST_PAGES), spot=True
    ),
    "binance__BTC-USDT-PERP__5m__20251226": Series("BTC", f"{NEW_YEAR[0]}T22:35", f"{NEW_YEAR[1]}T17:05"),
    "binance__BTC-USDT-PERP__15m__20251226": Series("BTC", f"{NEW_YEAR[0]}T22:45", f"{NEW_YEAR[1]}T16:45"),
    "binance__BTC-USDT-PERP__1h__20251226": Series("BTC", f"{NEW_YEAR[0]}T23:00", f"{NEW_YEAR[1]}T16:00"),
    "binance__DOGE-USDT-PERP__5m__20251226": Series("DOGE", f"{NEW_YEAR[0]}T22:35", f"{NEW_YEAR[1]}T11:40"),
    "binance__DOGE-USDT-PERP__15m__20251226": Series("DOGE", f"{NEW_YEAR[0]}T22:45", f"{NEW_YEAR[1]}T11:30"),
    "binance__DOGE-USDT-PERP__1h__20251226": Series("DOGE", f"{NEW_YEAR[0]}T23:00", f"{NEW_YEAR[1]}T10:00"),
    "binance__XRP-ETH__1m": Series("XRP-ETH", "2019-10-11", "2019-10-13T11:19", fine=SILENT_XRP_ETH),
    "binance__XRP-ETH__1m__unfilled": Series(
        *("XRP-ETH", "2019-10-11", "2019-10-13T11:19"), traded_only, fine=SILENT_XRP_ETH
    ),
    "binance__XRP-ETH__5m": Series("XRP-ETH", "2019-10-11", "2019-10-13T11:15", fine=SILENT_XRP_ETH),
    "bybit__BTC-USDT-PERP__15m": Series("BTC", "2023-11-29", "2026-01-05T12:00", fine=_market_orders),
    "bybit__BTC-USDT-PERP__1h": Series("BTC", "2023-11-29", "2026-02-08T12:00", fine=_market_orders),
    "bybit__BTC-USDT-PERP__4h": Series("BTC", "2023-11-29", "2026-01-05T08:00", fine=_market_orders),
    "bybit__BTC-USDT-PERP__1d": Series("BTC", "2023-12-18", "2026-01-04", fine=_market_orders),
    "bybit__ETH-USDT-PERP__15m": Series("ETH", "2023-12-18", "2026-01-05T12:00"),
    "bybit__BTC-USDT__15m__20250616lostbars": Series(
        *("BTC", "2025-06-16T11:45", "2025-11-13T11:15"), without_places(999, 1000), spot=True
    ),
    "bybit__BTC-USDT__5m__20251106lostbars": Series(
        *("BTC", "2025-11-06T08:15", "2025-11-22T14:05"),
        without("2025-11-09T19:30", "2025-11-13T06:50", "2025-11-16T18:10", "2025-11-20T05:30"),
        spot=True,
    ),
    "bybit__BTC-USDT__5m__20250101": Series("BTC", "2025-01-01", "2025-05-16T07:35", spot=True),
    "okx__BTC-USDT-PERP__1m": Series("BTC", "2026-01-01", "2026-01-16T07:57"),
    "okx__XRP-USDT-PERP__5m": Series(
        *("XRP", "2022-05-01", "2022-12-31T18:50"),
        flat(
            *(("2022-06-10T02:00", "2022-06-10T08:55"), ("2022-12-18T08:15", "2022-12-18T08:35")),
            ("2022-12-18T08:40", "2022-12-18T18:50"),
        ),
    ),
    "kucoin__BTC-USDT__1m": Series("KUCOIN-BTC", "2023-02-18T10:31", "2023-03-21T05:10"),
    "kucoin__BAX-USDT__1m": Series("BAX", "2023-03-05T11:30", "2023-04-04T11:26", fine=SILENT_BAX),
    "kucoin__BAX-USDT__5m": Series("BAX", "2023-02-24T13:40", "2023-04-04T11:20", fine=SILENT_BAX),
    "kraken__XBT-USDT__1m": Series("KRAKEN-BTC", "2025-11-10T12:17", "2025-11-11T00:17", silent(216)),
    "bitfinex__BTC-USD__1m": Series("BTC-USD", "2019-03-29", "2019-03-29T23:59", thinned(58)),
    "unittest__UNITTEST-BTC__1m": Series("XZC", "2017-11-04T23:02", "2017-11-14T22:59", thinned(717)),
    "blofin__XRP-USDT-PERP__15m": Series("NEW-XRP", "2025-11-21T23:45", "2025-12-06T23:15"),
    "bittrex__MEME-BTC__1m__20180125tzlate1h": Series(
        *("MEME", "2018-01-25T18:13", "2018-02-04T17:55"), in_turn(thinned(9390), late_by_an_hour)
    ),
    "bittrex__EDG-BTC__1m__20171108": Series(
        # The minutes beside its leaps are there.
        *("EDG", "2017-11-08T04:34", "2017-11-18T08:28"),
        without_places(2, 5, 2),
    ),
    "bittrex__SNT-BTC__1m__20171108": Series("SNT", "2017-11-08T04:37", "2017-11-18T08:30", thinned(5747)),
    "bittrex__XZC-BTC__1m__20171104": Series("XZC", "2017-11-04T23:02", "2017-11-14T22:59", thinned(3913)),
    "bittrex__ADA-BTC__5m__20171120": Series(
        *("OLDER-ADA", "2017-11-20T08:55", "2017-12-10T08:50"), without_places(2000, 10**9, 9)
    ),
    "bittrex__ADA-BTC__5m__20180110": Series(
        # One rest is long beside some short ones.
        *("OLD-ADA", "2018-01-10T04:55", "2018-01-30T04:50"),
        without_runs((100, 1), (700, 35), (1050, 1), (1300, 1), (1500, 4)),
    ),
    "bittrex__ADA-BTC__5m__20180115tzlate1h": Series(
        "OLD-ADA", "2018-01-15T15:50", "2018-02-04T15:45", late_by_an_hour
    ),
}


# -- how they are made -----------------------------------------------------------------------------------------------


@cache
def made_candles(name: str) -> Candles:
    """The series of a name; who asks must not write to it."""
    series, (venue, _, timeframe) = SERIES[name], name.split("__")[:3]
    step_ms = timeframe_named(timeframe).step_ms
    minutes = _minutes(series.coin, venue, is_spot=series.spot)
    if name == "binance__BTC-USDT-PERP__1h__20241001":
        again = minutes["open_ms"] >= at(PERPETUAL_AGAIN)
        minutes[again] = _minutes(series.coin, venue, is_spot=False)[again]
    if series.fine:
        minutes = series.fine(minutes)
    first_ms, past_ms = at(series.first), at(series.last) + step_ms
    minutes = minutes[(minutes["open_ms"] >= first_ms) & (minutes["open_ms"] < past_ms)]
    bars = _added_up(minutes, step_ms)
    bars = series.own(bars) if series.own else bars
    bars.flags.writeable = False
    return bars


def _rng(*of: str) -> np.random.Generator:
    return np.random.default_rng(crc32("|".join(of).encode()))


@cache
def _walk(name: str) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """The minutes of a coin, the true price at the end of each and how far its wicks reach."""
    coin, rng = COINS[name], _rng(name)
    opens_ms = np.arange(at(coin.first), at(coin.past), MINUTE_MS)
    moves = rng.normal(0, coin.move, len(opens_ms))
    # The walk stays around its first price, however long it is.
    week = 7 * 24 * 60
    drift = np.add.reduceat(moves, np.arange(0, len(moves), week))
    moves -= np.repeat(drift / week, week)[: len(moves)]
    for time, share in coin.leaps:
        moves[opens_ms == at(time)] += share
    return opens_ms, coin.price * np.exp(np.cumsum(moves)), np.abs(rng.normal(0, coin.move / 2, (2, len(moves))))


def _minutes(name: str, venue: str, *, is_spot: bool) -> Candles:
    """A coin's minutes at a venue."""
    opens_ms, true, wicks = _walk(name)
    rng = _rng(name, venue, "spot" if is_spot else "perpetual")
    phase = rng.uniform(0, 2 * np.pi)
    apart = 0.4 * BP * np.sin(opens_ms / (3 * 24 * HOUR_MS) + phase) + rng.normal(0, 0.2 * BP, len(opens_ms))
    apart += SPOT_BASIS if is_spot else 0
    close = true * (1 + apart)
    opened = np.concatenate((close[:1], close[:-1]))
    tick = COINS[name].tick
    bars = np.empty(len(opens_ms), dtype=CANDLE)
    bars["open_ms"] = opens_ms
    bars["open"], bars["close"] = _rounded(opened, tick), _rounded(close, tick)
    bars["high"] = _rounded(np.maximum(opened, close) * (1 + wicks[0]), tick)
    bars["low"] = _rounded(np.minimum(opened, close) / (1 + wicks[1]), tick)
    whole = np.round(_rng(name, venue).gamma(2, 3, len(opens_ms)) + 0.1, 3)
    bars["base_volume"] = np.round(whole * SPOT_VOLUME, 3) if is_spot else whole
    bars["quote_volume"] = np.nan
    return bars


def _rounded(prices: NDArray[np.float64], tick: float) -> NDArray[np.float64]:
    return np.round(prices, round(-np.log10(tick)))


def _added_up(minutes: Candles, step_ms: int) -> Candles:
    """Longer bars: bars of no volume set no price."""
    if step_ms == MINUTE_MS:
        return minutes
    starts_ms, first = np.unique(minutes["open_ms"] // step_ms * step_ms, return_index=True)
    bars = np.empty(len(starts_ms), dtype=CANDLE)
    bars["open_ms"], bars["quote_volume"] = starts_ms, np.nan
    last = np.append(first[1:], len(minutes)) - 1
    place, traded = np.arange(len(minutes)), minutes["base_volume"] > 0
    # The first and the last minute of each bar that traded; where none did, all are alike.
    first_traded = np.minimum.reduceat(np.where(traded, place, len(minutes)), first)
    last_traded = np.maximum.reduceat(np.where(traded, place, -1), first)
    has_traded = last_traded >= 0
    bars["open"] = minutes["open"][np.where(has_traded, first_traded, first)]
    bars["close"] = minutes["close"][np.where(has_traded, last_traded, last)]
    highest = np.maximum.reduceat(np.where(traded, minutes["high"], -np.inf), first)
    lowest = np.minimum.reduceat(np.where(traded, minutes["low"], np.inf), first)
    bars["high"] = np.where(has_traded, highest, bars["close"])
    bars["low"] = np.where(has_traded, lowest, bars["close"])
    bars["base_volume"] = np.round(np.add.reduceat(minutes["base_volume"], first), 3)
    return bars
