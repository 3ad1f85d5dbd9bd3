"""OANDA's v20 REST API: candles of currency pairs, metals and CFDs.

After developer.oanda.com/rest-live-v20: instrument-ep (candles), instrument-df (granularities), development-guide
(hosts, limits). Errors without a note are second-hand (ccxt and others quote them).

The connection ``oanda_default``: the password is the access token. Options in its extra: ``environment`` practice or
live (a token is of one of them), ``price`` mid, bid or ask. A series should keep to one price.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any, ClassVar

from backfill.domain.intervals import Interval
from backfill.domain.markets import Market
from backfill.domain.named_markets import named_market, pair_of
from backfill.domain.timeframes import Timeframe
from backfill.domain.venues import StatusRules, Venue
from backfill.errors import BadPayload, ConfigurationError, ExchangeError, RequestRefused, SymbolNotListed
from backfill.exchanges.http_client import HttpClient, JsonAnswer
from backfill.exchanges.source_contract import Bar, BarsAnswer, RegisteredSource, SourceAccess

HOSTS = {"practice": "https://api-fxpractice.oanda.com", "live": "https://api-fxtrade.oanda.com"}
PRICES = {"mid": "M", "bid": "B", "ask": "A"}
GRANULARITIES = {
    **{f"{minutes}m": f"M{minutes}" for minutes in (1, 5, 15, 30)},
    **{f"{hours}h": f"H{hours}" for hours in (1, 2, 4, 6, 8, 12)},
    "1d": "D",
    "1w": "W",
}
# Without these, days begin at 17:00 in New York and weeks on Friday.
ON_OUR_GRID = {"dailyAlignment": "0", "alignmentTimezone": "UTC", "weeklyAlignment": "Monday"}
# 2017-01-03T00:00:00.000000000Z
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{3})\d*)?Z", re.ASCII)


def pair(symbol: str) -> Market | None:
    """The pair of our name, which is OANDA's: ``EUR_USD``, ``XAU_USD``."""
    found = pair_of(symbol)
    return None if found is None else named_market(symbol, *found)


VENUE = Venue(
    source="oanda",
    client="registered",
    market_named=pair,
    needs_key=True,
    rows_per_page=5000,  # docs
    timeframes=tuple(GRANULARITIES),
    bounded=True,
    fills_no_trade=False,
    volume="none",  # docs: "the number of prices created during the time-range", which is no volume of ours
    # docs: 120 a second and address, HTTP 429 above.
    limits_per_period_s=((100, 1),),
    spacing_ms=10,
    # 403: the token lacks the right; see error_in.
    rules=StatusRules(forbidden="ban", ban_s=300, rate_limit_s=2),
)


class _InTheFuture(RequestRefused):
    """The window's end is later than OANDA's clock."""


class OandaClient(HttpClient):
    """See :class:`backfill.exchanges.source_contract.CandleClient`."""

    venue: ClassVar[Venue] = VENUE
    public_url: ClassVar[str] = HOSTS["practice"]

    def __init__(self, access: SourceAccess, clock: Callable[[], float] = time.time) -> None:
        super().__init__(access)
        self._clock = clock
        self.price = str(access.options.get("price", "mid"))
        environment = str(access.options.get("environment", "practice"))
        if self.price not in PRICES or environment not in HOSTS:
            raise ConfigurationError(
                f"oanda_default: option price is {', '.join(PRICES)} and environment {', '.join(HOSTS)}; "
                f"not {self.price!r} and {environment!r}"
            )
        if access.base_url is None:
            self._base_url = HOSTS[environment]

    def headers(self) -> Mapping[str, str]:
        """docs, Authentication: a bearer token."""
        return {"Authorization": f"Bearer {self._access.key}"}

    def bars(self, venue_symbol: str, timeframe: Timeframe, window: Interval) -> BarsAnswer:
        """One request; two if the window ends in the future of OANDA's clock, which it refuses."""
        if window.start >= 1000 * self._clock():  # not begun
            return BarsAnswer([], self.server_ms, 0.0)
        try:
            # A second less, so that it does not matter whether `to` is inclusive.
            answer = self._page(venue_symbol, timeframe, window, {"to": _text(window.end // 1000 - 1)})
        except _InTheFuture:
            count = (window.end - window.start) // timeframe.step_ms
            answer = self._page(venue_symbol, timeframe, window, {"count": str(count)})
        rows = answer.document.get("candles") if isinstance(answer.document, dict) else None
        if not isinstance(rows, list):
            raise BadPayload("oanda", f"{venue_symbol}: no list of candles")
        told = answer.document.get("instrument"), answer.document.get("granularity")
        if told != (venue_symbol, GRANULARITIES[timeframe.name]):
            raise BadPayload("oanda", f"candles of {told!r:.60}, asked for {venue_symbol} {timeframe.name}")
        return BarsAnswer([self._bar(row) for row in rows], answer.server_ms, answer.latency_ms)

    def _page(self, venue_symbol: str, timeframe: Timeframe, window: Interval, end: Mapping[str, str]) -> JsonAnswer:
        asked = {
            "price": PRICES[self.price],
            "granularity": GRANULARITIES[timeframe.name],
            "from": _text(window.start // 1000),
        }
        return self.get(f"/v3/instruments/{venue_symbol}/candles", {**asked, **end, **ON_OUR_GRID})

    def _bar(self, row: Any) -> Bar:
        given = row if isinstance(row, dict) else {}
        told = given.get(self.price)
        prices = told if isinstance(told, dict) else {}
        o, h, low, c = (prices.get(name) for name in ("o", "h", "l", "c"))
        return Bar(_ms(given.get("time")), o, h, low, c, volume=None, closed=given.get("complete") is True)

    def error_in(self, status: int, document: Any, where: str) -> ExchangeError | None:
        """The error of an ``errorMessage``."""
        message = document.get("errorMessage") if isinstance(document, dict) else None
        if not isinstance(message, str) or status == 429 or status >= 500:
            return None
        if "'instrument'" in message or "not a valid instrument" in message:
            return SymbolNotListed("oanda", where.split("/")[-2])
        if "'to'. Time is in the future" in message:
            return _InTheFuture("oanda", f"{where}: {message:.120}")
        if status in (401, 403):
            return RequestRefused("oanda", f"the token is refused (HTTP {status}): {self.hidden(message):.120}")
        return RequestRefused("oanda", f"{where}: {self.hidden(message):.120}")


def _text(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def _ms(text: Any) -> int | str | None:
    """RFC 3339 with nanoseconds as epoch ms; anything else as it came, for the rules to refuse."""
    found = _TIME.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return text if isinstance(text, str | None) else str(text)
    try:
        at = datetime.fromisoformat(found[1]).replace(tzinfo=timezone.utc)
    except ValueError:
        return found[0]
    return round(at.timestamp()) * 1000 + int(found[2] or 0)


SOURCE = RegisteredSource(VENUE, OandaClient)
