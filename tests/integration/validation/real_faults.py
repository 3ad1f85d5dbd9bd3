"""Each fault and non-fault that ../shared/market/INDEX.md lists, taken through the whole keeper: what does it say?

Bars, real or made, are stored by the keeper's own fill from exchanges on paper and validated as a Dag would. The tests
assert on what comes of it, and ``benchmarks/real_faults.py`` prints it; hence no pytest here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from backfill.domain.answers import bar_intervals
from backfill.domain.intervals import Interval, intersection, total_ms, union
from backfill.domain.timeframes import HOUR_MS, MINUTE_MS, utc
from backfill.jobs.status.market_wide_holes import market_wide_holes
from backfill.paper.market import Candles
from integration.helpers import ms
from integration.validation.keeper_on_paper import PRIMARY, Keeper

PRICES = ("open", "high", "low", "close")
OTHER = "bybit"
BTC = "BTC-USDT"
PERP, FIVES = "binance__BTC-USDT-PERP__15m__20241001", "binance__BTC-USDT-PERP__5m__20241001"


class Line(NamedTuple):
    """One thing of a case: what the keeper made of it, and what is right."""

    of: str
    said: Any
    right: Any


Case = Callable[[Keeper], list[Line]]


# -- fake bars


def fake_bars_beside_another_venue(keeper: Keeper) -> list[Line]:
    """Binance's archive of 2024-10-28 beside Bybit, who traded on; then Binance has mended it."""
    primary, other = keeper.read(PERP, "2024-10-01", "2024-11-05"), keeper.read("bybit__BTC-USDT-PERP__15m")
    flat = primary["base_volume"] == 0
    keeper.source_has(PRIMARY, {(BTC, "15m"): primary})
    keeper.source_has(OTHER, {(BTC, "15m"): other})
    window = keeper.keep(BTC, "15m", primary, (PRIMARY, OTHER))
    keeper.fill(window)
    keeper.validate_whole(window)
    fakes, doubted = _spans(keeper, "flat_bars"), _starts(keeper, "cross_source")
    stood_by = keeper.revisions()

    # In 15m the other minutes without trades are parts of bars that have some.
    edges = {"2024-10-28 16:15", "2024-10-28 21:00"}
    mended = primary.copy()
    wrong = flat | np.isin(primary["open_ms"], [ms(time) for time in edges])
    mended[wrong] = other[np.isin(other["open_ms"], primary["open_ms"][wrong])]
    keeper.source_has(PRIMARY, {(BTC, "15m"): mended})
    keeper.everything_is_due()
    keeper.validate_whole(window)
    return [
        Line("flat bars, found and told apart", fakes, [("2024-10-28 20:00", "2024-10-28 21:00")]),
        Line("their neighbours, partly fake, disagree", sorted(edges & doubted), sorted(edges)),
        Line("while the primary source stands by them they stay", stood_by, {}),
        Line("once it does not they are replaced", keeper.revisions(), {"provider_correction": 6}),
        Line("by the mended bars", keeper.candles(window) == _rows(mended), True),
        Line("and settled", keeper.kinds().get("flat_bars", 0), 0),
    ]


def fake_bars_of_a_lone_home(keeper: Keeper) -> list[Line]:
    """The same outage in minutes of FIL, with nobody to compare; then the primary source returns other bars."""
    primary = keeper.read("binance__FIL-USDT-PERP__1m__202410", "2024-10-24")
    flat = np.flatnonzero(primary["base_volume"] == 0)
    keeper.source_has(PRIMARY, {("FIL-USDT", "1m"): primary})
    window = keeper.keep("FIL-USDT", "1m", primary)
    keeper.fill(window)
    keeper.validate_whole(window)
    found = keeper.findings("flat_bars")
    minutes = total_ms(_interval(one) for one in found) // MINUTE_MS

    mended = primary.copy()
    for column in (*PRICES, "base_volume"):
        mended[column][flat] = primary[column][flat - 1440]  # the day before's: any real bars will do
    keeper.source_has(PRIMARY, {("FIL-USDT", "1m"): mended})
    keeper.everything_is_due()
    keeper.validate_whole(window)
    return [
        Line("minutes found", minutes, len(flat)),
        Line("suspects, since nobody else says anything", sorted({one["verdict"] for one in found}), ["suspect"]),
        Line("replaced once the primary source returns others", keeper.revisions(), {"provider_correction": len(flat)}),
        Line("by those", keeper.candles(window) == _rows(mended), True),
        Line("and settled", keeper.kinds().get("flat_bars", 0), 0),
    ]


# -- what is no fault


def halts_of_a_venue(keeper: Keeper) -> list[Line]:
    """OKX's maintenance and its data centre's outage, in XRP and, as halts are, in two more symbols (XRP, scaled)."""
    bars = keeper.read("okx__XRP-USDT-PERP__5m", "2022-12-08")
    given = {}
    for symbol, scale in (("XRP-USDT", 1.0), ("ADA-USDT", 0.7), ("DOGE-USDT", 0.2)):
        scaled = bars.copy()
        for price in PRICES:
            scaled[price] = np.round(bars[price] * scale, 6)
        given[symbol, "5m"] = scaled
    keeper.source_has(PRIMARY, given)
    windows = [keeper.keep(symbol, timeframe, candles) for (symbol, timeframe), candles in given.items()]
    keeper.fill(*windows)
    for window in windows:
        keeper.validate_whole(window)
    alone = sorted({one["symbol"] for one in keeper.findings("flat_bars")})
    market_wide_holes(keeper.store, at=utc(keeper.at_ms), since=utc(int(bars["open_ms"][0])))
    outages = [_interval(one) for one in keeper.findings("source_outage", status="settled")]
    flat = bar_intervals(bars["open_ms"][bars["base_volume"] == 0], 5 * MINUTE_MS)
    centre = Interval(ms("2022-12-18T08:40"), ms("2022-12-18T18:50"))
    return [
        Line("flat in every symbol, by themselves", alone, sorted(window.symbol for window in windows)),
        Line("seen together no fault is left", keeper.kinds(), {}),
        Line(
            "ms of the data centre's outage among them", total_ms(intersection([centre], outages)), total_ms([centre])
        ),
        Line("halted bars outside of an outage", total_ms(flat) - total_ms(intersection(flat, outages)), 0),
    ]


def minutes_without_a_trade(keeper: Keeper) -> list[Line]:
    """XRP-ETH of Binance without the 1,091 minutes of which the complete list of trades has none."""
    return _no_trade(
        keeper,
        "XRP-ETH",
        keeper.read("binance__XRP-ETH__1m__unfilled"),
        keeper.read("binance__XRP-ETH__5m"),
        absent=1091,
    )


def minutes_that_a_store_filled(keeper: Keeper) -> list[Line]:
    """Six days of BAX of KuCoin without the rows that its store made up."""
    filled, coarse = (
        keeper.read("kucoin__BAX-USDT__1m", "2023-03-20", "2023-03-26"),
        keeper.read("kucoin__BAX-USDT__5m"),
    )
    return _no_trade(keeper, "BAX-USDT", filled, coarse, absent=int((filled["base_volume"] == 0).sum()))


def _no_trade(keeper: Keeper, symbol: str, fine: Candles, coarse: Candles, *, absent: int) -> list[Line]:
    """``fine`` without its rows of no volume, if it has any, beside the same source's ``coarse``."""
    keeper.source_has(PRIMARY, {(symbol, "1m"): fine[fine["base_volume"] > 0], (symbol, "5m"): coarse})
    window = keeper.keep(symbol, "1m", fine)
    keeper.fill(window)
    keeper.validate_whole(window)
    return [
        Line("minutes proved to have had no trade", keeper.proved(window, "no_trade"), absent),
        Line("called lost", keeper.proved(window, "lost"), 0),
        Line("left as gaps", keeper.gaps(window), 0),
        Line("findings", keeper.kinds(), {}),
    ]


def quiet_markets(keeper: Keeper) -> list[Line]:
    """Minutes without a trade that came as flat rows of no volume: of Kraken, KuCoin, and ALGO at Binance."""
    files = {
        "XBT-USDT": keeper.read("kraken__XBT-USDT__1m"),
        "BAX-USDT": keeper.read("kucoin__BAX-USDT__1m", "2023-03-20", "2023-03-25"),
        "ALGO-USDT": keeper.read("binance__ALGO-USDT-PERP__1m__202409", "2024-09-01", "2024-09-08"),
    }
    keeper.source_has(PRIMARY, {(symbol, "1m"): candles for symbol, candles in files.items()})
    lines = []
    for symbol, candles in files.items():
        window = keeper.keep(symbol, "1m", candles)
        keeper.fill(window)
        keeper.validate_whole(window)
        silent = int((candles["base_volume"] == 0).sum())
        lines.append(Line(f"{symbol}: faults called in {silent} silent minutes", _of(keeper, symbol), []))
    return lines


def thin_markets(keeper: Keeper) -> list[Line]:
    """Minutes without a trade that are absent, with no longer bars to prove it: of Bitfinex and Bittrex."""
    files = {
        "BTC-USD": ("1m", "bitfinex__BTC-USD__1m"),
        "UNITTEST-BTC": ("1m", "unittest__UNITTEST-BTC__1m"),
        "XZC-BTC": ("1m", "bittrex__XZC-BTC__1m__20171104"),
        "ADA-BTC": ("5m", "bittrex__ADA-BTC__5m__20180110"),
    }
    given = {(symbol, timeframe): keeper.read(name)[:6000] for symbol, (timeframe, name) in files.items()}
    keeper.source_has(PRIMARY, given)
    lines = []
    for (symbol, timeframe), candles in given.items():
        window = keeper.keep(symbol, timeframe, candles)
        keeper.fill(window)
        keeper.validate_whole(window)
        lines.append(Line(f"{symbol}: faults and gaps called", (_of(keeper, symbol), keeper.gaps(window)), ([], 0)))
    return lines


def float_noise(keeper: Keeper) -> list[Line]:
    """The same bars, told again with other last digits."""
    bars = keeper.read("binance__XRP-ETH__5m")
    noisy, rng = bars.copy(), np.random.default_rng(1)
    for column in (*PRICES, "base_volume"):
        noisy[column] *= 1 + rng.choice([-1e-15, -3e-16, 3e-16, 1e-15], len(bars))
    noisy["high"] = np.max([noisy[price] for price in PRICES], axis=0)
    noisy["low"] = np.min([noisy[price] for price in PRICES], axis=0)
    keeper.source_has(PRIMARY, {("XRP-ETH", "5m"): bars})
    window = keeper.keep("XRP-ETH", "5m", bars)
    keeper.fill(window)
    kept = keeper.punch(window, bars["open_ms"][::10])  # so that the page comes again, and its overlap with it
    keeper.source_has(PRIMARY, {("XRP-ETH", "5m"): noisy})
    keeper.fill(window, recheck=True)
    keeper.validate_whole(window)
    stored = {bar[0]: bar for bar in keeper.candles(window)}
    differ = sum(stored[bar[0]] != bar for bar in _rows(noisy))
    return [
        Line("bars that came again with other digits", (len(stored), differ > 500), (len(bars), True)),
        Line("of those kept, any changed", [stored[bar[0]] for bar in kept] == kept, True),
        Line("revisions", keeper.revisions(), {}),
        Line("findings", keeper.kinds(), {}),
    ]


# -- bars that are lost


def page_edges_of_15m(keeper: Keeper) -> list[Line]:
    """A downloader dropped one bar in a thousand, and calls them absent."""
    bars = keeper.read("bybit__BTC-USDT__15m__20250616lostbars")
    keeper.source_has(PRIMARY, {(BTC, "15m"): bars})
    window = keeper.keep(BTC, "15m", bars)
    keeper.fill(window)
    keeper.validate_whole(window)
    return _page_edges(keeper, missing=14)


def page_edges_of_5m(keeper: Keeper) -> list[Line]:
    """The same in 5m; for the first two of the four there are 15m bars of the same source."""
    fine, coarse = (
        keeper.read("bybit__BTC-USDT__5m__20251106lostbars"),
        keeper.read("bybit__BTC-USDT__15m__20250616lostbars"),
    )
    keeper.source_has(PRIMARY, {(BTC, "5m"): fine, (BTC, "15m"): coarse})
    window = keeper.keep(BTC, "5m", fine)
    keeper.fill(window)
    keeper.validate_whole(window)
    holes = ["2025-11-09 19:30", "2025-11-13 06:50"]
    return [
        *_page_edges(keeper, missing=4),
        Line("proved lost, where longer bars tell", sorted(_starts(keeper, "lost_bars")), holes),
        Line("and gaps again", keeper.gaps(window), len(holes)),
    ]


def _page_edges(keeper: Keeper, missing: int) -> list[Line]:
    edges = [(one["detail"]["every_bars"], one["detail"]["missing"]) for one in keeper.findings("page_edge")]
    return [Line("page edges: one finding (every so many bars, how many)", edges, [(1000, missing)])]


def bars_taken_out_at_random(keeper: Keeper) -> list[Line]:
    """One in a hundred 15m bars of Bybit, whose 1h bars count them."""
    whole = keeper.read("bybit__BTC-USDT-PERP__15m", "2025-06-01", "2025-10-01")
    out = np.random.default_rng(1).choice(np.arange(1, len(whole) - 1), len(whole) // 100, replace=False)
    fine = np.delete(whole, out)
    keeper.source_has(PRIMARY, {(BTC, "15m"): fine, (BTC, "1h"): keeper.read("bybit__BTC-USDT-PERP__1h")})
    window = keeper.keep(BTC, "15m", whole)
    keeper.fill(window)
    keeper.validate_whole(window)
    lost, taken = union(map(_interval, keeper.findings("lost_bars"))), np.sort(whole["open_ms"][out])
    return [
        Line("proved lost", keeper.proved(window, "lost"), len(out)),
        Line("exactly those", lost == bar_intervals(taken, 15 * MINUTE_MS), True),
        Line("called no trade", keeper.proved(window, "no_trade"), 0),
        Line("gaps again", keeper.gaps(window), len(out)),
        Line("other findings", sorted(set(keeper.kinds()) - {"lost_bars"}), []),
    ]


# -- pages that are wrong as a whole


def spot_filed_as_the_perpetual(keeper: Keeper) -> list[Line]:
    """Binance's 1h are the spot market's, its 15m the perpetual's; Bybit has the perpetual at both."""
    quarters, hours = keeper.read(PERP), keeper.read("binance__BTC-USDT-PERP__1h__20241001")
    other = {(BTC, name): keeper.read(f"bybit__BTC-USDT-PERP__{name}") for name in ("15m", "1h")}
    keeper.source_has(PRIMARY, {(BTC, "15m"): quarters, (BTC, "1h"): hours})
    keeper.source_has(OTHER, other)
    windows = [keeper.keep(BTC, name, bars, (PRIMARY, OTHER)) for name, bars in (("15m", quarters), ("1h", hours))]
    keeper.fill(*windows)
    for window in windows:
        keeper.validate_whole(window)
    within, between = [], []
    for one in keeper.findings("wrong_instrument"):
        (within if one["source"] == PRIMARY else between).append(one)
    checks = keeper.findings("next_timeframe", status="settled")
    pages = sum(one["timeframe"] == "15m" for one in checks)
    return [
        Line(
            "the primary source contradicts itself: once for each page", (len(within), len(within) < 5), (pages, True)
        ),
        Line("single bars that do not add up", keeper.kinds().get("timeframes", 0), 0),
        Line("which of the two it is, the other venue tells", sorted({one["timeframe"] for one in between}), ["1h"]),
        Line("by 2 to 5 bp throughout", all(2 < one["detail"]["median_bp"] < 5 for one in between), True),
        Line("lost pages of the 1h that are missing", keeper.gaps(windows[1]), 1000),
    ]


def stamps_an_hour_late(keeper: Keeper) -> list[Line]:
    """A download that wrote local time, beside a true one; then the primary source returns the true one."""
    late, true = keeper.read("bittrex__ADA-BTC__5m__20180115tzlate1h"), keeper.read("bittrex__ADA-BTC__5m__20180110")
    late = late[late["open_ms"] <= true["open_ms"][-1]]
    keeper.source_has(PRIMARY, {("ADA-USDT", "5m"): late})
    keeper.source_has(OTHER, {("ADA-USDT", "5m"): true})
    window = keeper.keep("ADA-USDT", "5m", late, (PRIMARY, OTHER))
    keeper.fill(window)
    keeper.validate_whole(window)
    found = keeper.findings()
    pages = {one["start_time"] for one in found}
    lags = {(one["kind"], one["detail"].get("lag_ms")) for one in found}

    keeper.source_has(PRIMARY, {("ADA-USDT", "5m"): true})
    keeper.everything_is_due()
    keeper.validate_whole(window)
    right = {bar[0]: bar for bar in _rows(true)}
    stored = keeper.candles(window)
    return [
        Line("named, with its lag", sorted(lags), [("hour_shift", HOUR_MS)]),
        Line("once for each page", (len(found), len(found) < 10), (len(pages), True)),
        Line(
            "replaced once the primary source returns the true bars",
            [bar for bar in stored if bar != right.get(bar[0])],
            [],
        ),
        Line("nearly all of them are revisions", keeper.revisions()["provider_correction"] > 0.98 * len(stored), True),
        Line("and settled", keeper.kinds(), {}),
    ]


CASES: dict[str, Sequence[Case]] = {
    "fake bars": (fake_bars_beside_another_venue, fake_bars_of_a_lone_home),
    "venue halts": (halts_of_a_venue,),
    "no-trade minutes": (minutes_without_a_trade, minutes_that_a_store_filled, quiet_markets, thin_markets),
    "float noise": (float_noise,),
    "page edge": (page_edges_of_15m, page_edges_of_5m),
    "lost bars": (bars_taken_out_at_random,),
    "wrong instrument, lost pages": (spot_filed_as_the_perpetual,),
    "hour shift": (stamps_an_hour_late,),
}


def _rows(candles: Candles) -> list[tuple[Any, ...]]:
    """As the keeper tells what it has."""
    return [bar[:6] for bar in candles.tolist()]


def _interval(finding: dict[str, Any]) -> Interval:
    return Interval(*(round(finding[name].timestamp() * 1000) for name in ("start_time", "end_time")))


def _spans(keeper: Keeper, kind: str) -> list[tuple[str, str]]:
    return [(f"{one['start_time']:%F %R}", f"{one['end_time']:%F %R}") for one in keeper.findings(kind)]


def _starts(keeper: Keeper, kind: str) -> set[str]:
    return {f"{one['start_time']:%F %R}" for one in keeper.findings(kind)}


def _of(keeper: Keeper, symbol: str) -> list[str]:
    return [one["kind"] for one in keeper.findings() if one["symbol"] == symbol]
