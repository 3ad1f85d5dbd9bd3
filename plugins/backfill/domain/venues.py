"""What each source can do and how to request it.

"docs" is the exchange's API documentation, "second-hand" third-party code or an issue, "no source" a safe default.
Formats, timeframes, page sizes and codes without a note are ccxt 4.5.90's (``fetch_ohlcv``, ``features``,
``exceptions``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from backfill.domain.markets import Market
from backfill.domain.price_kinds import TRADE, PriceKind
from backfill.domain.registered_sources import is_registered, registered_source
from backfill.domain.timeframes import DAY_MS, HOUR_MS, TIMEFRAMES
from backfill.errors import ConfigurationError

DAY_S = 24 * 3600
# Off our grid where days are in another time zone.
ZONED_TIMEFRAMES = ("6h", "12h", "1d", "1w")
# Left out at the old end, since time passes before the request.
REACH_MARGIN_BARS = 10
ANY_KEY = "*"


@dataclass(frozen=True, slots=True)
class StatusRules:
    """Meaning of 403, and default durations of bans and rate limits."""

    forbidden: Literal["ban", "geo"]
    ban_s: float
    rate_limit_s: float
    longest_s: float = 24 * 3600  # a longer Retry-After is ignored
    reset_header: str | None = None  # ms until the limit is reset, where there is no Retry-After


CAUTIOUS_RULES = StatusRules(forbidden="ban", ban_s=300, rate_limit_s=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """One exchange. The defaults are safe for an unknown one."""

    source: str
    client: Literal["blofin", "ccxt", "archive", "registered"] = "ccxt"
    # As a primary source it needs no listing.
    names_are_ours: bool = False
    # Its market of an instrument, by our name, where that needs no list; None: it has no such market.
    market_named: Callable[[str], Market | None] | None = None
    # False: its candles are compared with others', and never stored.
    fills: bool = True
    # Whether it needs a key, the password of its Airflow connection.
    needs_key: bool = False
    # Of stocks: prices `adjusted` for splits, `raw`, or both; None: whatever it has is taken for what is asked for.
    split_prices: tuple[str, ...] | None = None
    ccxt_id: str = ""
    archive_of: str = ""  # the source whose bars its files have
    # Linear perpetuals, spot stand-ins.
    perpetuals: bool = True
    spot: bool = True

    # -- pages
    rows_per_page: int = 100
    fewer_rows: Mapping[str, int] = field(default_factory=dict)  # by timeframe
    reach_bars: int | None = None  # bars back from now; None: to the listing, or unknown
    reach_days: Mapping[str, int] = field(default_factory=dict)  # back from now, by timeframe
    timeframes: tuple[str, ...] | None = None  # on our UTC grid; None: ccxt's except ZONED_TIMEFRAMES
    since_inclusive: bool = True  # false: without the bar at `since`
    sends_until: bool = False  # ccxt needs the window's end
    bounded: bool = False  # an answer is for the window requested, not for its newest bars
    fills_no_trade: bool | None = None  # no trade gives a flat bar without volume (true) or no bar (false)

    # -- rows
    # Of perpetuals in ccxt; spot is always base. none: it has no volume, or counts something else.
    volume: Literal["base", "contracts", "none"] = "contracts"
    k_is_thousand: bool = False  # kPEPE is 1000 PEPE
    rows_at: tuple[str, ...] | None = None  # path to the rows in the JSON; () is its root
    quote_volume_at: int | str | None = None  # place in a raw row
    confirm_at: int | None = None  # place in a raw row: "1" closed, "0" running

    # -- mark and index prices: rows without volumes, on pages of their own. None: it has none, or no source says so.
    price_rows: int | None = None
    price_confirm_at: int | None = None
    # -- funding: payments on a page, and the parameter that ends it. None: none, or no source says how to page back.
    funding_rows: int | None = None
    funding_before: str = ""
    funding_is_inclusive: bool = False
    # Where a page is cut at its newer end, it is asked for by its start too, as many hours before as it has rows.
    funding_from: str = ""
    funding_limits_per_period_s: tuple[tuple[int, int], ...] = ()  # beside the limits of all requests
    lists_funding_intervals: bool = False  # of contracts that do not pay every 8 hours
    kind: PriceKind = TRADE  # what this row is about; see of_kind

    # -- limits, per address; codes in the body. Requests: where weights count, by that of our page.
    limits_per_period_s: tuple[tuple[int, int], ...] = ((60, 60),)
    spacing_ms: int = 1000
    # Header that tells the weight used in this minute, the most permitted, and what a page of ours weighs.
    used_weight: tuple[str, int, int] | None = None
    rules: StatusRules = CAUTIOUS_RULES
    rate_codes: frozenset[str] = frozenset()  # rate limit
    unlisted_codes: frozenset[str] = frozenset()  # unknown symbol
    outage_codes: frozenset[str] = frozenset()  # retry
    geo_codes: frozenset[str] = frozenset()  # country not served

    # -- ccxt's options that limit `load_markets` to perpetuals, or to perpetuals and spot
    options: Mapping[str, Any] = field(default_factory=dict)
    spot_options: Mapping[str, Any] = field(default_factory=dict)

    def has_kind(self, kind: PriceKind) -> bool:
        """Whether it has such candles."""
        return kind == TRADE or self.price_rows is not None

    def of_kind(self, kind: PriceKind) -> Venue:
        """The venue as it is asked for candles of ``kind``."""
        if kind == TRADE or self.price_rows is None:
            return self
        return replace(
            self,
            kind=kind,
            rows_per_page=self.price_rows,
            fewer_rows={},
            quote_volume_at=None,
            confirm_at=self.price_confirm_at,
        )

    @property
    def funding_span_ms(self) -> int:
        """How long a page of hourly payments is."""
        return (self.funding_rows or 0) * HOUR_MS

    def rows(self, timeframe: str) -> int:
        """The most rows on a page of ``timeframe``."""
        return self.fewer_rows.get(timeframe, self.rows_per_page)

    def serves(self, timeframe: str) -> bool:
        """Whether it has the timeframe on our grid; outside the table check ccxt too."""
        if self.timeframes is None:
            return timeframe not in ZONED_TIMEFRAMES
        return timeframe in self.timeframes

    def may_fill(self, timeframe: str) -> bool:
        """Whether its candles of the timeframe may be stored."""
        return self.fills and self.serves(timeframe)

    @property
    def serves_bars(self) -> int | None:
        """Bars back from now worth requesting; None: to the listing, or unknown."""
        return None if self.reach_bars is None else self.reach_bars - REACH_MARGIN_BARS

    def oldest_open_ms(self, step_ms: int, now_ms: int) -> int | None:
        """The oldest open time worth requesting, in ms; None: unknown."""
        bars = self.bars_served(step_ms)
        return None if bars is None else now_ms - now_ms % step_ms - bars * step_ms

    def bars_served(self, step_ms: int) -> int | None:
        """Bars of this length back from now worth requesting; None: to the listing, or unknown."""
        by_step = {TIMEFRAMES[name].step_ms: bars for name, bars in self.bars_by_timeframe.items()}
        return by_step.get(step_ms, self.serves_bars)

    @property
    def bars_by_timeframe(self) -> dict[str, int]:
        """The same of the timeframes that have a reach of their own; at least one bar."""
        return {
            name: max(1, days * DAY_MS // TIMEFRAMES[name].step_ms - REACH_MARGIN_BARS)
            for name, days in self.reach_days.items()
        }


BINANCE_WEIGHT = "X-MBX-USED-WEIGHT-1M"


def _by_weight(weight: int, page_weight: int, period_s: int) -> tuple[tuple[int, int], ...]:
    """A venue's limit by weight as requests of our pages, which all weigh the same."""
    return ((weight // page_weight, period_s),)


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
        rows_per_page=1440,  # docs; honoured in 2026 (djorgens2/blofin-data)
        # docs; days from 00:00 UTC (ccxt's tests); weeks: no source, but off-grid bars are rejected.
        timeframes=("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "1w"),
        volume="base",  # column 6, volCurrency
        quote_volume_at=7,  # docs
        confirm_at=8,  # docs
        price_rows=1440,  # docs: ts, o, h, l, c, confirm
        price_confirm_at=5,
        funding_rows=100,  # docs
        funding_before="after",
        # docs: above 500 a minute suspended for 5 minutes, above 1500 in 5 minutes for an hour.
        limits_per_period_s=((500, 60), (1500, 300)),
        spacing_ms=0,
        # docs, Network Firewall Restrictions: five minutes, longer if repeated.
        rules=StatusRules(forbidden="ban", ban_s=300, rate_limit_s=300),
        rate_codes=frozenset({"429"}),
        outage_codes=frozenset({"500"}),
        unlisted_codes=frozenset({"152014"}),  # docs, Error Code
    ),
    Venue(
        source="okx",
        ccxt_id="okx",
        # 300 since August 2025 (ccxt #26705).
        rows_per_page=300,
        # ccxt requests 6Hutc to 1Wutc.
        timeframes=(*_MINUTES, *_HOURS, "1d", "1w"),
        bounded=True,
        fills_no_trade=True,  # recorded: 209 of 70,499 5m bars of XRP-USDT-SWAP without volume, none missing
        volume="base",
        rows_at=("data",),
        quote_volume_at=7,  # docs
        confirm_at=8,  # docs
        price_rows=100,  # ccxt #20756: ts, o, h, l, c, confirm
        price_confirm_at=5,
        funding_rows=100,  # docs; three months
        funding_before="after",
        # 20 per 2 s (second-hand: ccxt #20756, nautilus_trader).
        limits_per_period_s=((600, 60),),
        spacing_ms=110,
        rules=StatusRules(forbidden="geo", ban_s=300, rate_limit_s=10),  # rate limits: 429 with 50011
        rate_codes=frozenset({"50011"}),  # freqtrade #9371
        outage_codes=frozenset({"50001", "50004", "50005", "50013", "50026"}),
        options=_types("swap"),
        spot_options=_types("spot", "swap"),
    ),
    Venue(
        source="bybit",
        ccxt_id="bybit",
        rows_per_page=1000,  # docs
        # 1d from 00:00 UTC (recorded); 1w: no source, but off-grid bars are rejected.
        timeframes=(*_MINUTES, *_HOURS, "1d", "1w"),
        sends_until=True,
        bounded=True,
        volume="base",
        rows_at=("result", "list"),
        quote_volume_at=6,  # docs
        price_rows=1000,  # docs: start, o, h, l, c
        funding_rows=200,  # docs: `endTime` alone gives the newest up to it
        funding_before="endTime",
        funding_is_inclusive=True,
        # docs: 600 per 5 s and address, and not to run at the edge: the budget keeps a tenth free. Above: 403, wait 10
        # minutes.
        limits_per_period_s=((600, 5),),
        spacing_ms=8,
        rules=StatusRules(forbidden="ban", ban_s=600, rate_limit_s=10),
        rate_codes=frozenset({"10006", "10018"}),  # docs
        outage_codes=frozenset({"10000", "10016"}),  # docs, Error Codes
        geo_codes=frozenset({"10024"}),  # compliance rules
        options=_types("linear"),
        spot_options=_types("spot", "linear"),
    ),
    Venue(
        source="binanceusdm",
        ccxt_id="binanceusdm",
        spot=False,
        # docs: below 500 rows a page weighs 2, to 1000 rows 5, to 1500 rows 10. Why not 499: see decision 42.
        rows_per_page=1000,
        timeframes=(*_MINUTES, *_HOURS, "8h", "1d", "1w"),  # weeks from Monday (docs)
        sends_until=True,
        bounded=True,
        fills_no_trade=True,  # recorded: 446 of 43,200 minutes of ALGO-USDT without volume, none missing
        volume="base",  # contractSize 1
        rows_at=(),
        quote_volume_at=7,  # docs
        price_rows=1000,  # docs: as klines, with zeros for volumes; the same weight
        # docs: oldest first from `startTime`, at most 1000; 500 in 5 minutes with fundingInfo, which lists intervals.
        funding_rows=1000,
        funding_before="endTime",
        funding_is_inclusive=True,
        funding_from="startTime",
        funding_limits_per_period_s=((500, 300),),
        lists_funding_intervals=True,
        # docs: weight 2400 a minute and address, 5 a page of 500 to 1000 rows.
        limits_per_period_s=_by_weight(2400, 5, 60),
        spacing_ms=50,
        used_weight=(BINANCE_WEIGHT, 2400, 5),
        # 403: 10 minutes (Binance.Net #115). 418: 2 minutes to 3 days, in Retry-After.
        rules=StatusRules(forbidden="ban", ban_s=600, rate_limit_s=60, longest_s=3 * DAY_S),
        rate_codes=frozenset({"-1003"}),
        outage_codes=frozenset({"-1000", "-1001", "-1004", "-1007", "-1008"}),  # docs, Error Codes: 10xx
        options=_types("linear"),
    ),
    # Bulk files of binanceusdm, another witness than its API. A page is a file of a day or a month.
    Venue(
        source="binance_vision",
        client="archive",
        archive_of="binanceusdm",
        spot=False,
        rows_per_page=31 * 1440,
        fewer_rows={
            "3m": 31 * 480,
            "5m": 31 * 288,
            "15m": 31 * 96,
            "30m": 31 * 48,
            "1h": 31 * 24,
            "2h": 31 * 12,
            "4h": 31 * 6,
            "6h": 31 * 4,
            "8h": 31 * 3,
            "12h": 31 * 2,
            "1d": 31,
        },
        timeframes=(*_MINUTES, *_HOURS, "8h", "1d"),
        bounded=True,
        fills_no_trade=True,  # as its API
        volume="base",
        # A CDN without a known limit; no source.
        limits_per_period_s=((600, 60),),
        spacing_ms=0,
    ),
    Venue(
        source="bitget",
        ccxt_id="bitget",
        spot=False,
        # 200 (history) or 1000 (last 30 days of 1m to 30m), one spent on the bar before `since`; from 4h on at most 90
        # days (ccxt, maxLimitPerTimeframe).
        rows_per_page=199,
        fewer_rows={"12h": 179, "1d": 89},
        timeframes=(*_MINUTES, *_HOURS, "1d"),  # ccxt requests 6Hutc, 12Hutc, 1Dutc
        since_inclusive=False,  # for 1m (passivbot, candlestick_manager.py:1132)
        bounded=True,
        volume="base",
        rows_at=("data",),
        quote_volume_at=6,  # docs
        limits_per_period_s=((3000, 300),),  # second-hand (ccxt), and 20 a second
        spacing_ms=60,
        rate_codes=frozenset({"429", "1001", "30014", "30026"}),
        outage_codes=frozenset({"500", "40015", "40200", "40604"}),
        options=_types("swap"),
    ),
    Venue(
        source="gate",
        ccxt_id="gate",
        spot=False,
        rows_per_page=1999,
        reach_bars=10_000,  # freqtrade #12814, passivbot #563
        # No 1w: 7d counts from the epoch (docs).
        timeframes=("1m", "5m", "15m", "30m", "1h", "2h", "4h", "8h", "1d"),
        bounded=True,
        volume="contracts",  # `v` (ccxt #18941)
        rows_at=(),
        quote_volume_at="sum",  # docs
        limits_per_period_s=((200, 10),),  # second-hand (ccxt): of an address and endpoint
        spacing_ms=50,
        # FORBIDDEN: no source for its meaning.
        rules=StatusRules(forbidden="geo", ban_s=300, rate_limit_s=10),
        rate_codes=frozenset({"TOO_FAST", "TOO_MANY_REQUESTS"}),
        outage_codes=frozenset({"INTERNAL", "SERVER_ERROR", "TOO_BUSY"}),
        options=_types("swap"),
    ),
    Venue(
        source="kucoinfutures",
        ccxt_id="kucoinfutures",
        spot=False,
        # 200 live, unlike ccxt (jesse, KuCoinFuturesMain.py; passivbot, candlestick_manager.py:1137), one spent on the
        # bar before `since`.
        rows_per_page=199,
        timeframes=("1m", "5m", "15m", "30m", "1h", "2h", "4h", "8h", "12h", "1d"),
        since_inclusive=False,  # for 1m (passivbot, candlestick_manager.py:1143)
        bounded=True,
        fills_no_trade=False,  # passivbot, candlestick_manager.py:1217, PR #1414
        volume="contracts",  # ccxt's fixture: 354348 contracts of 0.001 BTC
        rows_at=("data",),
        # docs: 2000 per 30 s, 3 a page (ccxt).
        limits_per_period_s=_by_weight(2000, 3, 30),
        spacing_ms=45,
        # docs: 429000 is an empty pool, refilled after 30 s. The header's name is second-hand.
        rules=StatusRules(forbidden="ban", ban_s=300, rate_limit_s=30, reset_header="gw-ratelimit-reset"),
        rate_codes=frozenset({"429", "429000"}),
        outage_codes=frozenset({"500", "503", "500000"}),
        geo_codes=frozenset({"400500"}),
        options=_types("swap"),
    ),
    Venue(
        source="hyperliquid",
        ccxt_id="hyperliquid",
        spot=False,
        rows_per_page=4800,  # the most of which whole pages fill its limit: see decision 42
        reach_bars=5000,  # passivbot PR #1414
        timeframes=(*_MINUTES, "1h", "2h", "4h", "8h", "12h", "1d"),
        sends_until=True,
        bounded=True,
        volume="base",
        k_is_thousand=True,  # passivbot, tests/test_live_coins_reload.py
        rows_at=(),
        # docs: weight 1200 a minute, 20 a request plus 1 per 60 bars (second-hand): 100 a full page.
        limits_per_period_s=_by_weight(1200, 100, 60),
        spacing_ms=500,
        options=_types("swap"),
    ),
    Venue(
        source="mexc",
        ccxt_id="mexc",
        spot=False,
        rows_per_page=2000,  # docs
        timeframes=("1m", "5m", "15m", "30m", "1h", "4h", "8h"),  # its days: no source
        sends_until=True,
        bounded=True,
        volume="contracts",  # ccxt's sample bars: amount / (vol x price) is the contract size
        rows_at=("data", "time"),  # columns
        limits_per_period_s=((600, 60),),  # docs: 20 per 2 s
        spacing_ms=110,
        rules=StatusRules(forbidden="ban", ban_s=600, rate_limit_s=10),  # 403: no source
        rate_codes=frozenset({"429", "510"}),
        outage_codes=frozenset({"500", "501", "503", "504", "801"}),
    ),
    Venue(
        source="binance",
        ccxt_id="binance",
        perpetuals=False,
        rows_per_page=1000,  # docs
        timeframes=(*_MINUTES, *_HOURS, "8h", "1d", "1w"),
        sends_until=True,
        bounded=True,
        fills_no_trade=True,  # recorded: 1,091 of 3,560 minutes of XRP-ETH without volume, none missing
        volume="base",
        rows_at=(),
        quote_volume_at=7,
        # 6000 a minute (nautilus_trader, docs/integrations/binance.md), 2 a page (docs).
        limits_per_period_s=_by_weight(6000, 2, 60),
        spacing_ms=20,
        used_weight=(BINANCE_WEIGHT, 6000, 2),
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
        # Newest only: an older `since` gets the same (recorded; freqtrade #2134).
        rows_per_page=720,
        reach_bars=720,
        timeframes=("1m", "5m", "15m", "30m", "1h", "4h", "1d"),  # 1w: no source
        fills_no_trade=True,  # recorded: 216 of 721 minutes without volume
        volume="base",
        rows_at=("result", ANY_KEY),
        limits_per_period_s=((50, 60),),  # second-hand: ccxt waits 1,200 ms
        spacing_ms=1200,
        # docs (an older page): lockouts of 15 minutes.
        rules=StatusRules(forbidden="ban", ban_s=900, rate_limit_s=60),
        rate_codes=frozenset({"EGeneral:Too many requests", "EAPI:Rate limit exceeded", "EGeneral:Temporary lockout"}),
        unlisted_codes=frozenset({"EQuery:Unknown asset pair"}),  # second-hand
        outage_codes=frozenset(
            {"EService:Unavailable", "EService:Busy", "EGeneral:Internal error", "EDatabase:Internal error"}
        ),
    ),
    Venue(
        source="coinbase",
        ccxt_id="coinbase",
        perpetuals=False,
        rows_per_page=300,  # more fail (ccxt #9268)
        # UTC: no source, but off-grid bars are rejected.
        timeframes=("1m", "5m", "15m", "30m", "1h", "2h", "6h", "1d"),
        sends_until=True,  # ccxt's end is one bar too far
        bounded=True,
        fills_no_trade=False,  # "omits intervals without ticks" (go-coinbasepro #86)
        volume="base",
        rows_at=("candles",),
        limits_per_period_s=((300, 60),),  # docs: 10 a second and address; half
        spacing_ms=150,
    ),
)
VENUES: dict[str, Venue] = {venue.source: venue for venue in _VENUES}


def known_venue(source: str) -> Venue | None:
    """The row of the table, or of a registered source; None: at most an exchange that ccxt has."""
    if source in VENUES or not is_registered(source):
        return VENUES.get(source)
    row = getattr(registered_source(source), "venue", None)
    if not isinstance(row, Venue) or row.source != source or row.client != "registered":
        raise ConfigurationError(
            f"source {source!r}: what its entry point names has no `venue`, a Venue(source={source!r}, "
            'client="registered"); see docs/write_a_source.md'
        )
    return row


def venue(source: str) -> Venue:
    """The source called ``source``: of the table, registered, or any other in ccxt, with defaults."""
    if known := known_venue(source):
        return known
    import ccxt  # seconds of CPU

    if source not in ccxt.exchanges:
        raise ConfigurationError(f"unknown source {source!r}: no exchange that ccxt {ccxt.__version__} knows")
    return Venue(source=source, ccxt_id=source)
