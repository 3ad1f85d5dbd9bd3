"""Polygon's aggregates and ticker details, after https://polygon.io/docs/rest/stocks/aggregates/custom-bars.

A page holds what at most ``limit`` base aggregates (minutes that traded) make, cut at whole bars; ``next_url``
continues. An unknown ticker has no results, like a quiet one. (Where a page is cut exactly is not documented.)
"""

from __future__ import annotations

import re

from backfill.domain.timeframes import MINUTE_MS, TIMEFRAMES, Timeframe
from backfill.paper.limits import HouseRules, PaperRefusal, RequestWindow
from backfill.paper.market import PaperInstrument, PaperMarket, split_adjusted
from backfill.paper.protocol import Answer, CandleWire, PlainRequests, Query, dated, html_answer, json_answer, spelled

AGGS, TICKERS, SPLITS = "/v2/aggs/ticker/", "/v3/reference/tickers/", "/v3/reference/splits"
_RANGE = re.compile(AGGS + r"(?P<ticker>[^/]+)/range/(?P<count>\d+)/(?P<unit>minute|hour)/(?P<from>\d+)/(?P<to>\d+)")
MINUTES = {"minute": 1, "hour": 60}
MOST_BASE_BARS, USUAL_BASE_BARS = 50_000, 5_000
BY_STEP = {bar.step_ms: bar for bar in TIMEFRAMES.values()}


def _bar_in(path: str) -> Timeframe:
    found = _RANGE.fullmatch(path)
    if found is None:
        raise KeyError(path)
    return BY_STEP[int(found["count"]) * MINUTES[found["unit"]] * MINUTE_MS]


class PolygonProtocol(PlainRequests):
    """``delayed``: as plans without real-time data answer."""

    house_rules = HouseRules((RequestWindow(5, span_ms=60_000),))
    read_headers = ("authorization",)
    wire = CandleWire(
        (AGGS,),
        lambda query: TIMEFRAMES["1m"],
        lambda body: body["results"],
        newest_first=False,
        times=("t",),
        numbers=("o", "h", "l", "c", "v"),
        timeframe_in=_bar_in,
    )

    def __init__(self, *, delayed: bool = False, next_host: str | None = None) -> None:
        self._status = "DELAYED" if delayed else "OK"
        self._next_host = next_host

    def answer(self, market: PaperMarket, method: str, path: str, query: Query, now_ms: int) -> Answer:
        """Answer aggregates and ticker details."""
        if not query.get("authorization:", "").startswith("Bearer ") and not query.get("apiKey"):
            return json_answer({"status": "ERROR", "request_id": "paper", "message": "Unknown API Key"}, 401)
        listed = spelled(market, ticker_of)
        if path.startswith(TICKERS):
            ticker = path.removeprefix(TICKERS)
            if ticker not in listed:
                return json_answer({"status": "NOT_FOUND", "request_id": "paper", "message": "Ticker not found."}, 404)
            return json_answer({"status": "OK", "request_id": "paper", "results": {"ticker": ticker, "active": True}})
        if path == SPLITS:
            instrument = listed.get(query.get("ticker", ""))
            known = market.splits.get(instrument.symbol, ()) if instrument else ()
            rows = [
                {"execution_date": dated(ms), "split_from": 1, "split_to": ratio, "ticker": query["ticker"]}
                for ms, ratio in known
                if ms <= now_ms
            ]
            return json_answer({"status": "OK", "request_id": "paper", "results": rows})
        found = _RANGE.fullmatch(path)
        if found is None:
            return json_answer({"status": "ERROR", "request_id": "paper", "error": "not found"}, 404)
        return self._aggregates(market, found, listed.get(found["ticker"]), query, now_ms)

    def _aggregates(
        self,
        market: PaperMarket,
        asked: re.Match[str],
        instrument: PaperInstrument | None,
        query: Query,
        now_ms: int,
    ) -> Answer:
        body: dict[str, object] = {
            "ticker": asked["ticker"],
            "queryCount": 0,
            "resultsCount": 0,
            "adjusted": query.get("adjusted", "true") == "true",
            "status": self._status,
            "request_id": "paper",
        }
        minutes = int(asked["count"]) * MINUTES[asked["unit"]]
        bar, limit = BY_STEP[minutes * MINUTE_MS], int(query.get("limit") or USUAL_BASE_BARS)
        if not 1 <= limit <= MOST_BASE_BARS:
            return json_answer({"status": "ERROR", "request_id": "paper", "error": "limit is out of range"}, 400)
        if instrument is None:
            return json_answer(body)
        start_ms = max(int(asked["from"]), int(query.get("cursor") or 0))
        most = max(1, limit // minutes)
        page = market.oldest(instrument.symbol, bar.name, start_ms, int(asked["to"]) + 1, most + 1, now_ms)
        if len(page) > most:
            path = f"{AGGS}{asked['ticker']}/range/{asked['count']}/{asked['unit']}/{asked['from']}/{asked['to']}"
            host = self._next_host or ""
            adjusted = "true" if body["adjusted"] else "false"
            body["next_url"] = f"{host}{path}?cursor={int(page[most]['open_ms'])}&limit={limit}&adjusted={adjusted}"
            page = page[:most]
        if body["adjusted"]:
            page = split_adjusted(page, market.splits.get(instrument.symbol, ()), now_ms)
        names = {"v": "base_volume", "o": "open", "c": "close", "h": "high", "l": "low", "t": "open_ms"}
        columns = [page[column].tolist() for column in names.values()]
        body["queryCount"], body["resultsCount"] = len(page) * minutes, len(page)
        if len(page):
            body["results"] = [dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True)]
        return json_answer(body, symbol=instrument.symbol)

    def refusal(self, refused: PaperRefusal, now_ms: int) -> Answer:
        """429 as recorded by others."""
        if refused.status == 429:
            message = "You've exceeded the maximum requests per minute, please wait or upgrade your subscription"
            return json_answer({"status": "ERROR", "request_id": "paper", "error": message}, 429)
        return html_answer(refused.status, f"{refused.status} Forbidden")


def ticker_of(instrument: PaperInstrument) -> str | None:
    """``AAPL``, ``C:EURUSD`` of ``EUR_USD``, ``X:BTCUSD`` of ``BTC-USDT``."""
    if "-" in instrument.symbol:
        return f"X:{instrument.base}USD"
    return f"C:{instrument.symbol.replace('_', '')}" if "_" in instrument.symbol else instrument.symbol
