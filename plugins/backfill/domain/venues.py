"""What each source can do and how it wants to be asked: data, with the source of every figure.

"ccxt" is the Python package 4.5.90 (its ``features`` and the code of each exchange's ``fetch_ohlcv``); "docs" are the
exchange's own API documentation; "second-hand" was read in third-party code or an issue; "no source" means that none
was found, so the figure is a safe default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from backfill.errors import ConfigurationError

DAY_S = 24 * 3600
# Bars that a day of another time zone moves off our grid; 8 h and below fit UTC+8, where it is most likely.
ZONED_TIMEFRAMES = ("6h", "12h", "1d", "1w")
# Bars of a limited reach that are not asked for: time goes by between the plan and the question.
REACH_MARGIN_BARS = 10
ANY_KEY = "*"


@dataclass(frozen=True, slots=True)
class StatusRules:
    """What 403 means at an exchange, and for how long its bans and rate limits hold where it does not say."""

    forbidden: Literal["ban", "geo"]
    ban_s: float
    rate_limit_s: float
    longest_s: float = 24 * 3600  # a Retry-After beyond this is not believed


CAUTIOUS_RULES = StatusRules(forbidden="ban", ban_s=300, rate_limit_s=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """One exchange as a source of candles. The defaults are safe for one that we know nothing about."""

    source: str
    # Which of our clients speaks to it.
    client: Literal["blofin", "ccxt"] = "ccxt"
    # Our instruments bear its names: as a primary it needs no look-up of a listing.
    names_are_ours: bool = False
    ccxt_id: str = ""
    # Which of its markets may stand for an instrument: linear perpetuals, spot stand-ins, or both.
    perpetuals: bool = True
    spot: bool = True

    # -- pages
    rows_per_page: int = 100
    fewer_rows: Mapping[str, int] = field(default_factory=dict)  # by timeframe, where a page holds less
    reach_bars: int | None = None  # how many bars back from now it serves; None: to the listing, or not known
    timeframes: tuple[str, ...] | None = None  # that open on our UTC grid; None: ccxt's, but ZONED_TIMEFRAMES
    since_inclusive: bool = True  # false: the bar at `since` itself is left out
    sends_until: bool = False  # whether ccxt must be given the end of the window
    bounded: bool = False  # whether an answer speaks for the window asked for, and not for what lies newest in it
    fills_no_trade: bool | None = None  # flat bars with no volume where there was no trade (true) or no bar (false)

    # -- rows
    volume: Literal["base", "contracts"] = "contracts"  # as ccxt gives a perpetual's; spot is always in base
    k_is_thousand: bool = False  # kPEPE is a thousand PEPE
    rows_at: tuple[str, ...] | None = None  # where the rows lie in the JSON; () is its root
    quote_volume_at: int | str | None = None  # place in a raw row
    confirm_at: int | None = None  # place in a raw row of "1" closed, "0" still running

    # -- manners, by address
    limits_per_period_s: tuple[tuple[int, int], ...] = ((60, 60),)
    spacing_ms: int = 1000
    rules: StatusRules = CAUTIOUS_RULES
    rate_codes: frozenset[str] = frozenset()  # in the body: asked too often
    unlisted_codes: frozenset[str] = frozenset()  # in the body: no such symbol here
    outage_codes: frozenset[str] = frozenset()  # in the body: unwell, ask again
    geo_codes: frozenset[str] = frozenset()  # in the body: our country is not served

    # -- ccxt's options that keep `load_markets` to the perpetuals, and to perpetuals and spot
    options: Mapping[str, Any] = field(default_factory=dict)
    spot_options: Mapping[str, Any] = field(default_factory=dict)

    def rows(self, timeframe: str) -> int:
        return self.fewer_rows.get(timeframe, self.rows_per_page)

    def serves(self, timeframe: str) -> bool:
        """Whether it has the timeframe on our grid; of an exchange we do not know, ccxt has to be asked too."""
        if self.timeframes is None:
            return timeframe not in ZONED_TIMEFRAMES
        return timeframe in self.timeframes

    def oldest_open_ms(self, step_ms: int, now_ms: int) -> int | None:
        """The oldest open time worth asking for; None: no bound is known."""
        if self.reach_bars is None:
            return None
        return now_ms - now_ms % step_ms - (self.reach_bars - REACH_MARGIN_BARS) * step_ms


def _types(*types: str) -> Mapping[str, Any]:
    return {"fetchMarkets": {"types": list(types)}}


_HOURS = ("1h", "2h", "4h", "6h", "12h")
_MINUTES = ("1m", "3m", "5m", "15m", "30m")

_VENUES = (
    Venue(
        source="blofin",
        client="blofin",
        names_are_ours=True,
        spot=False,
        rows_per_page=1440,  # docs, Get Candlesticks: "The maximum is 1440"; honoured in 2026 (djorgens2/blofin-data)
        # docs, Get Candlesticks; days open 00:00 UTC (ccxt's static test data). Weeks: no source; a bar that does not
        # open on Monday is refused as off the grid.
        timeframes=("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "1w"),
        volume="base",  # column 6, volCurrency
        quote_volume_at=7,  # docs: volCurrencyQuote
        confirm_at=8,  # docs: confirm
        # docs, Rate Limits: suspended for 5 minutes above 500 requests a minute, for an hour above 1500 in 5 minutes.
        limits_per_period_s=((500, 60), (1500, 300)),
        spacing_ms=0,
        # docs, Network Firewall Restrictions: a 403 is a five-minute ban, longer if repeated.
        rules=StatusRules(forbidden="ban", ban_s=300, rate_limit_s=300),
        rate_codes=frozenset({"429"}),
        outage_codes=frozenset({"500"}),
        unlisted_codes=frozenset({"152014"}),  # docs, Error Code: Instrument ID does not exist
    ),
    Venue(
        source="okx",
        ccxt_id="okx",
        # ccxt clamps to 300; history-candles serve 300 since August 2025 (ccxt #26705).
        rows_per_page=300,
        # Its days are UTC+8, but ccxt asks for 6Hutc to 1Wutc (okx.py, fetch_ohlcv).
        timeframes=(*_MINUTES, *_HOURS, "1d", "1w"),
        bounded=True,  # ccxt sends before=since-1 and after=since+limit bars
        fills_no_trade=True,  # 70,499 recorded 5m bars of XRP-USDT-SWAP: 209 without volume, none missing
        volume="base",  # column 6, volCcy (okx.py, parse_ohlcv)
        rows_at=("data",),
        quote_volume_at=7,  # docs: volCcyQuote
        confirm_at=8,  # docs: confirm
        # history-candles: 20 requests per 2 s (second-hand: ccxt #20756, nautilus_trader); a tenth is left free.
        limits_per_period_s=((540, 60),),
        spacing_ms=110,
        rules=StatusRules(forbidden="geo", ban_s=300, rate_limit_s=10),  # rate limits are 429 with 50011
        rate_codes=frozenset({"50011"}),  # freqtrade #9371
        outage_codes=frozenset({"50001", "50004", "50005", "50013", "50026"}),  # okx.py, exceptions
        options=_types("swap"),
        spot_options=_types("spot", "swap"),
    ),
    Venue(
        source="bybit",
        ccxt_id="bybit",
        rows_per_page=1000,  # docs, Get Kline; ccxt features
        # D opens 00:00 UTC (recorded). W: no source; a bar that does not open on Monday is refused as off the grid.
        timeframes=(*_MINUTES, *_HOURS, "1d", "1w"),
        sends_until=True,  # ccxt sends `start` alone
        bounded=True,
        volume="base",  # column 5 of a linear market (bybit.py, parse_ohlcv)
        rows_at=("result", "list"),
        quote_volume_at=6,  # docs: turnover, in quote currency for linear and spot
        # docs, Rate Limit Rules: 600 requests per 5 s and address, and the advice to stay away from the edge: half of
        # it. Above: "403, access too frequent", wait 10 minutes.
        limits_per_period_s=((300, 5),),
        spacing_ms=15,
        rules=StatusRules(forbidden="ban", ban_s=600, rate_limit_s=10),
        rate_codes=frozenset({"10006", "10018"}),  # docs; bybit.py, exceptions
        outage_codes=frozenset({"10000", "10016"}),  # docs, Error Codes: server timeout, internal error
        geo_codes=frozenset({"10024"}),  # bybit.py, exceptions: compliance rules triggered
        options=_types("linear"),
        spot_options=_types("spot", "linear"),
    ),
    Venue(
        source="binanceusdm",
        ccxt_id="binanceusdm",
        spot=False,
        rows_per_page=1000,  # ccxt clamps; the exchange would give 1500 (nautilus_trader, futures/http/query.rs:65)
        timeframes=(*_MINUTES, *_HOURS, "8h", "1d", "1w"),  # UTC; weeks open on Monday (docs, sample of Kline)
        sends_until=True,  # ccxt sends startTime alone
        bounded=True,
        fills_no_trade=True,  # 43,200 recorded minutes of ALGO-USDT: 446 without volume, none missing
        volume="base",  # contractSize 1
        rows_at=(),
        quote_volume_at=7,  # docs: quote asset volume
        # docs: weight 2400 a minute and address; a page of 500 to 1000 rows weighs 5: half of it.
        limits_per_period_s=((240, 60),),
        spacing_ms=50,
        # 403: the firewall, gone after 10 minutes (Binance.Net #115). 418: 2 minutes to 3 days, given in Retry-After.
        rules=StatusRules(forbidden="ban", ban_s=600, rate_limit_s=60, longest_s=3 * DAY_S),
        rate_codes=frozenset({"-1003"}),
        outage_codes=frozenset({"-1000", "-1001", "-1004", "-1007", "-1008"}),  # docs, Error Codes: 10xx
        options=_types("linear"),
    ),
    Venue(
        source="bitget",
        ccxt_id="bitget",
        spot=False,
        # The history endpoint serves 200 and the recent one, 30 days of 1m to 30m, 1000 (bitget.py): 200 always fits.
        # One is spent on the bar before `since`; 4h and more are capped at 90 days (bitget.py, maxLimitPerTimeframe).
        rows_per_page=199,
        fewer_rows={"12h": 179, "1d": 89},
        timeframes=(*_MINUTES, *_HOURS, "1d"),  # ccxt asks for 6Hutc, 12Hutc, 1Dutc
        since_inclusive=False,  # for 1m (passivbot, candlestick_manager.py:1132)
        bounded=True,  # ccxt sends endTime; the history endpoint counts back from it
        volume="base",  # column 5 of a linear market (bitget.py, parse_ohlcv)
        rows_at=("data",),
        quote_volume_at=6,  # docs: quote volume
        limits_per_period_s=((540, 60),),  # second-hand (ccxt): 20 a second, and 3000 per 5 minutes
        spacing_ms=100,
        rate_codes=frozenset({"429", "1001", "30014", "30026"}),  # bitget.py, exceptions
        outage_codes=frozenset({"500", "40015", "40200", "40604"}),
        options=_types("swap"),
    ),
    Venue(
        source="gate",
        ccxt_id="gate",
        spot=False,
        rows_per_page=1999,  # ccxt features, and its clamp for contracts
        reach_bars=10_000,  # "Maximum 10000 points recently are allowed" (freqtrade #12814, passivbot #563)
        # 7d is counted from the epoch, which was a Thursday (docs), so there is no 1w.
        timeframes=("1m", "5m", "15m", "30m", "1h", "2h", "4h", "8h", "1d"),
        bounded=True,  # ccxt sends from and to
        volume="contracts",  # `v` (ccxt #18941)
        rows_at=(),
        quote_volume_at="sum",  # docs, futures candlesticks: in quote currency
        limits_per_period_s=((540, 60),),  # second-hand (ccxt): 200 per 10 s, address and endpoint; half of it
        spacing_ms=100,
        # The label FORBIDDEN exists (gate.py); that it means geography has no source: the next source is asked.
        rules=StatusRules(forbidden="geo", ban_s=300, rate_limit_s=10),
        rate_codes=frozenset({"TOO_FAST", "TOO_MANY_REQUESTS"}),  # gate.py, exceptions
        outage_codes=frozenset({"INTERNAL", "SERVER_ERROR", "TOO_BUSY"}),
        options=_types("swap"),
    ),
    Venue(
        source="kucoinfutures",
        ccxt_id="kucoinfutures",
        spot=False,
        # 200 live, whatever ccxt's features say (jesse, KuCoinFuturesMain.py; passivbot, candlestick_manager.py:1137);
        # one is spent on the bar before `since`.
        rows_per_page=199,
        timeframes=("1m", "5m", "15m", "30m", "1h", "2h", "4h", "8h", "12h", "1d"),  # kucoin.py, timeframes.swap
        since_inclusive=False,  # for 1m (passivbot, candlestick_manager.py:1143)
        bounded=True,  # ccxt sends from and to
        fills_no_trade=False,  # passivbot, candlestick_manager.py:1217; its PR #1414
        volume="contracts",  # ccxt's own fixture: 354348 contracts of 0.001 BTC
        rows_at=("data",),
        # docs, Rate Limit: the public pool has 2000 per 30 s, a page weighs 3 (kucoin.py): half of it.
        limits_per_period_s=((330, 30),),
        spacing_ms=50,
        # docs: 429000 means that the pool is used up; it is filled again after 30 s.
        rules=StatusRules(forbidden="ban", ban_s=300, rate_limit_s=30),
        rate_codes=frozenset({"429", "429000"}),
        outage_codes=frozenset({"500", "503", "500000"}),  # kucoin.py, exceptions
        geo_codes=frozenset({"400500"}),
        options=_types("swap"),
    ),
    Venue(
        source="hyperliquid",
        ccxt_id="hyperliquid",
        spot=False,
        rows_per_page=5000,
        reach_bars=5000,  # ccxt features; passivbot PR #1414
        timeframes=(*_MINUTES, "1h", "2h", "4h", "8h", "12h", "1d"),
        sends_until=True,  # ccxt asks up to now
        bounded=True,
        volume="base",
        k_is_thousand=True,  # passivbot, tests/test_live_coins_reload.py
        rows_at=(),
        # docs, Rate limits: weight 1200 a minute, an info request weighs 20; and 1 per 60 bars (second-hand): 104 for a
        # full page.
        limits_per_period_s=((10, 60),),
        spacing_ms=500,
        options=_types("swap"),
    ),
    Venue(
        source="mexc",
        ccxt_id="mexc",
        spot=False,
        rows_per_page=2000,  # docs; ccxt features
        timeframes=("1m", "5m", "15m", "30m", "1h", "4h", "8h"),  # where its days begin is not known
        sends_until=True,  # ccxt sends `start` alone
        bounded=True,
        volume="contracts",  # `vol`: amount / (vol x price) is the contract's size in ccxt's sample bars
        rows_at=("data", "time"),  # columns, not rows
        limits_per_period_s=((480, 60),),  # docs: 20 per 2 s
        spacing_ms=125,
        rules=StatusRules(forbidden="ban", ban_s=600, rate_limit_s=10),  # 403: no source; read as the firewall's
        rate_codes=frozenset({"429", "510"}),  # mexc.py, exceptions
        outage_codes=frozenset({"500", "501", "503", "504", "801"}),
    ),
    Venue(
        source="binance",
        ccxt_id="binance",
        perpetuals=False,
        rows_per_page=1000,  # docs; ccxt clamps
        timeframes=(*_MINUTES, *_HOURS, "8h", "1d", "1w"),
        sends_until=True,
        bounded=True,
        fills_no_trade=True,  # 3,560 recorded minutes of XRP-ETH: 1,091 without volume, none missing
        volume="base",
        rows_at=(),
        quote_volume_at=7,
        # Weight 6000 a minute (nautilus_trader, docs/integrations/binance.md), a page weighs 2 (docs): a third of it.
        limits_per_period_s=((1000, 60),),
        spacing_ms=20,
        rules=StatusRules(forbidden="ban", ban_s=600, rate_limit_s=60, longest_s=3 * DAY_S),
        rate_codes=frozenset({"-1003"}),
        outage_codes=frozenset({"-1000", "-1001", "-1004", "-1007", "-1008"}),
        options=_types("spot"),
        spot_options=_types("spot"),
    ),
    Venue(
        source="kraken",
        ccxt_id="kraken",
        perpetuals=False,
        # 720 and the running one, newest only: an older `since` silently gets the same 720 (recorded; freqtrade #2134).
        rows_per_page=720,
        reach_bars=720,
        timeframes=("1m", "5m", "15m", "30m", "1h", "4h", "1d"),  # no 1w: on which day it opens has no source
        fills_no_trade=True,  # 216 of 721 recorded minutes are flat, without volume
        volume="base",
        rows_at=("result", ANY_KEY),
        limits_per_period_s=((50, 60),),  # second-hand: ccxt waits 1,200 ms
        spacing_ms=1200,
        # docs, an older page: lockouts of 15 minutes.
        rules=StatusRules(forbidden="ban", ban_s=900, rate_limit_s=60),
        rate_codes=frozenset({"EGeneral:Too many requests", "EAPI:Rate limit exceeded", "EGeneral:Temporary lockout"}),
        unlisted_codes=frozenset({"EQuery:Unknown asset pair"}),  # second-hand, in error reports
        outage_codes=frozenset(
            {"EService:Unavailable", "EService:Busy", "EGeneral:Internal error", "EDatabase:Internal error"}
        ),
    ),
    Venue(
        source="coinbase",
        ccxt_id="coinbase",
        perpetuals=False,
        rows_per_page=300,  # ccxt clamps; N+1 bars fail the whole page (ccxt #9268)
        # That they open in UTC has no source; a bar that does not is refused as off the grid.
        timeframes=("1m", "5m", "15m", "30m", "1h", "2h", "6h", "1d"),
        sends_until=True,  # ccxt's own end is one bar too far
        bounded=True,
        fills_no_trade=False,  # "omits intervals without ticks" (go-coinbasepro #86)
        volume="base",
        rows_at=("candles",),
        limits_per_period_s=((300, 60),),  # docs: 10 a second and address, bursts of 15; half of it
        spacing_ms=150,
    ),
)
VENUES: dict[str, Venue] = {venue.source: venue for venue in _VENUES}


def venue(source: str) -> Venue:
    """The exchange called ``source``: of the table, or any other that ccxt knows, with safe defaults."""
    if known := VENUES.get(source):
        return known
    import ccxt  # seconds of CPU, and only for a name outside the table

    if source not in ccxt.exchanges:
        raise ConfigurationError(f"unknown source {source!r}: no exchange that ccxt {ccxt.__version__} knows")
    return Venue(source=source, ccxt_id=source)
