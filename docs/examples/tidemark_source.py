"""A source in one file: the perpetuals of Tidemark, an exchange that does not exist.

docs/write_a_source.md leads through it; tests run it against its paper server, tidemark_paper.py.
"""

from __future__ import annotations

from typing import Any

from backfill.domain.intervals import Interval
from backfill.domain.markets import Market
from backfill.domain.timeframes import Timeframe
from backfill.domain.venues import StatusRules, Venue
from backfill.errors import BadPayload, ExchangeError, ExchangeUnreachable, RequestRefused, SymbolNotListed
from backfill.exchanges.http_client import HttpClient
from backfill.exchanges.source_contract import UNREADABLE_BAR, Bar, BarsAnswer, RegisteredSource

TIDEMARK = Venue(
    source="tidemark",
    client="registered",
    spot=False,
    rows_per_page=500,
    timeframes=("1m", "5m", "15m", "1h", "4h", "1d"),
    bounded=True,
    fills_no_trade=False,  # a minute without trades has no bar
    volume="contracts",
    limits_per_period_s=((120, 60),),
    spacing_ms=50,
    rules=StatusRules(forbidden="ban", ban_s=300, rate_limit_s=20),
)


class TidemarkClient(HttpClient):
    """GET /v1/markets and /v1/bars."""

    venue = TIDEMARK
    public_url = "https://api.tidemark.example"

    def markets(self) -> list[Market]:
        """Every perpetual."""
        rows = self.get("/v1/markets").document.get("markets")
        if not isinstance(rows, list) or not rows:
            raise BadPayload(TIDEMARK.source, "lists no market at all")
        return [_market(row) for row in rows]

    def bars(self, venue_symbol: str, timeframe: Timeframe, window: Interval) -> BarsAnswer:
        """``from`` is inclusive, ``to`` exclusive, both in seconds."""
        answer = self.get(
            "/v1/bars",
            {
                "market": venue_symbol,
                "width": str(timeframe.step_ms // 1000),
                "from": str(window.start // 1000),
                "to": str(window.end // 1000),
            },
        )
        rows = answer.document.get("bars")
        if not isinstance(rows, list):
            raise BadPayload(TIDEMARK.source, f"{venue_symbol}: no list of bars")
        return BarsAnswer([_bar(row) for row in rows], answer.server_ms, answer.latency_ms)

    def error_in(self, status: int, document: Any, where: str) -> ExchangeError | None:
        """Errors are {"error": "..."}; a rate limit is left to its status, 429."""
        if not isinstance(document, dict):
            return BadPayload(TIDEMARK.source, f"{where}: no object")
        error = document.get("error")
        if error is None or status in (429, 451):
            return None
        if error == "unknown_market":
            return SymbolNotListed(TIDEMARK.source, where)
        if error == "maintenance":
            return ExchangeUnreachable(TIDEMARK.source, f"{where}: maintenance")
        return RequestRefused(TIDEMARK.source, f"{where}: {error!r:.100}")


def _bar(row: Any) -> Bar:
    """Seconds, open, high, low, close, contracts; another shape is refused as a row, not as a page."""
    if not isinstance(row, list) or len(row) != 6 or not isinstance(row[0], int):
        return UNREADABLE_BAR
    return Bar(row[0] * 1000, *row[1:])


def _market(row: Any) -> Market:
    try:
        return Market(
            venue_symbol=row["name"],
            market_id=row["name"],
            base=row["base"],
            quote=row["quote"],
            settle=row["quote"],
            is_swap=True,
            is_spot=False,
            is_linear=True,
            is_inverse=False,
            contract_size=float(row["contract"]),
            is_active=row["open"],
            listed_ms=row["listed"] * 1000,
            told={},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadPayload(TIDEMARK.source, f"a market that cannot be read: {row!a:.100}") from error


SOURCE = RegisteredSource(TIDEMARK, TidemarkClient)
