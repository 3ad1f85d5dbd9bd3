"""OANDA's v20 candles of currency pairs, as a registered source.

Documentation: https://developer.oanda.com/rest-live-v20/instrument-ep/ (candles),
https://developer.oanda.com/rest-live-v20/best-practices/ (100 requests a second on a connection), and
https://developer.oanda.com/rest-live-v20/development-guide/ (hosts, time formats).

- Days and weeks open in New York's evening by default; ``dailyAlignment`` 0 in UTC and weeks from Monday are our grid.
- ``volume`` counts prices, not units: it is left out.
- A window is requested by both ends, so that a row with a wrong time is noticed. An end in the future is an error:
  then it is requested by start and number of bars.
- The connection's extra has ``{"options": {"environment": "live", "price": "mid"}}``: practice or live; mid, bid, ask.
"""

from __future__ import annotations

from typing import Any, ClassVar

from backfill.domain.asset_names import asset_of, named_market
from backfill.domain.intervals import Interval
from backfill.domain.markets import Market
from backfill.domain.timeframes import Timeframe
from backfill.domain.venues import StatusRules, Venue
from backfill.errors import BadPayload, ConfigurationError, ExchangeError, RequestRefused, SymbolNotListed
from backfill.exchanges.http_client import HttpClient
from backfill.exchanges.source_contract import (
    UNREADABLE_BAR,
    Bar,
    BarsAnswer,
    RegisteredSource,
    SourceAccess,
)

HOSTS = {"practice": "https://api-fxpractice.oanda.com", "live": "https://api-fxtrade.oanda.com"}
PRICES = {"mid": "M", "bid": "B", "ask": "A"}
GRANULARITIES = {
    "1m": "M1", "5m": "M5", "15m": "M15", "30m": "M30", "1h": "H1", "2h": "H2", "4h": "H4", "6h": "H6", "8h": "H8",
    "12h": "H12", "1d": "D", "1w": "W",
}  # fmt: skip


def _market_named(symbol: str) -> Market | None:
    asset = asset_of(symbol)
    return named_market(asset, symbol) if asset is not None and asset.kind == "pair" else None


OANDA = Venue(
    source="oanda",
    client="registered",
    market_named=_market_named,
    needs_key=True,
    spot=False,
    rows_per_page=5000,  # docs: the largest count
    timeframes=tuple(GRANULARITIES),
    bounded=True,
    fills_no_trade=False,  # a bar without a price is missing
    volume="none",
    limits_per_period_s=((3000, 60),),  # half of what the docs allow
    spacing_ms=20,
    rules=StatusRules(forbidden="ban", ban_s=300, rate_limit_s=10),
)


class _InTheFuture(RequestRefused):
    """The window's end is later than OANDA's clock."""


class OandaClient(HttpClient):
    """GET /v3/instruments/.../candles."""

    venue: ClassVar[Venue] = OANDA
    public_url: ClassVar[str] = HOSTS["practice"]

    def __init__(self, access: SourceAccess) -> None:
        self.public_url = HOSTS[_option(access, "environment", "practice", HOSTS)]  # type: ignore[misc]
        self._price = _option(access, "price", "mid", PRICES)
        super().__init__(access)

    def headers(self) -> dict[str, str]:
        """The token, and times as seconds."""
        return {"Authorization": f"Bearer {self._access.key}", "Accept-Datetime-Format": "UNIX"}

    def bars(self, venue_symbol: str, timeframe: Timeframe, window: Interval) -> BarsAnswer:
        """The bars of the window; ``complete`` marks those that are over. Two requests if it ends in the future."""
        asked = {
            "price": PRICES[self._price],
            "granularity": GRANULARITIES[timeframe.name],
            "from": str(window.start // 1000),
            "dailyAlignment": "0",
            "alignmentTimezone": "UTC",
            "weeklyAlignment": "Monday",
        }
        path = f"/v3/instruments/{venue_symbol}/candles"
        try:
            # A second less: correct whether the end is inclusive or not.
            answer = self.get(path, {**asked, "to": str(window.end // 1000 - 1)})
        except _InTheFuture:
            answer = self.get(path, {**asked, "count": str((window.end - window.start) // timeframe.step_ms)})
        rows = answer.document.get("candles")
        if not isinstance(rows, list):
            raise BadPayload(OANDA.source, f"{venue_symbol}: no list of candles")
        return BarsAnswer(
            [_bar(row, self._price) for row in rows], answer.server_ms, answer.latency_ms, has_volume=False
        )

    def error_in(self, status: int, document: Any, where: str) -> ExchangeError | None:
        """Errors are {"errorMessage": "..."} with status 400 or 401."""
        if not isinstance(document, dict):
            return BadPayload(OANDA.source, f"{where}: no object") if status == 200 else None
        message = document.get("errorMessage")
        if message is None or status in (429, 451) or status >= 500:
            return None
        said = self.hidden(str(message))[:120]
        if "for 'instrument'" in said:
            return SymbolNotListed(OANDA.source, where.split("/")[-2], said)
        if "'to'. Time is in the future" in said:
            return _InTheFuture(OANDA.source, f"{where}: {said}")
        if status == 401:
            return RequestRefused(OANDA.source, f"{said} (a token of practice is none of live, and the reverse)")
        return RequestRefused(OANDA.source, f"{where}: {said}")


def _bar(row: Any, price: str) -> Bar:
    """Times are seconds with nine decimals, as text."""
    try:
        seconds, _, fraction = row["time"].partition(".")
        prices, is_over = row[price], row["complete"]
        open_ms = int(seconds) * 1000 + int((fraction + "000")[:3])
        if not isinstance(is_over, bool):
            return UNREADABLE_BAR
        return Bar(open_ms, prices["o"], prices["h"], prices["l"], prices["c"], None, None, closed=is_over)
    except (AttributeError, KeyError, TypeError, ValueError):
        return UNREADABLE_BAR


def _option(access: SourceAccess, name: str, otherwise: str, known: dict[str, str]) -> str:
    value = access.options.get(name, otherwise)
    if value not in known:
        raise ConfigurationError(f"oanda_default: extra.options.{name} is one of {', '.join(known)}, not {value!r}")
    return str(value)


SOURCE = RegisteredSource(OANDA, OandaClient)
