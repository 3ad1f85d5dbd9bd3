"""Yahoo Finance's chart endpoint. Undocumented: shapes and refusals are those that yfinance and its issues show.

An answer has columns; minutes without trades may be rows of nulls. While the market is open the newest quote stands
last, at its own second. What reaches further back than 7 days of minutes, or 60 of other bars below a day, is refused.
"""

from __future__ import annotations

from typing import Any

from backfill.domain.timeframes import DAY_MS, TIMEFRAMES, Timeframe
from backfill.errors import UnknownSymbol
from backfill.paper.limits import HouseRules, PaperRefusal, RequestWindow
from backfill.paper.market import PaperMarket
from backfill.paper.protocol import (
    Answer,
    CandleWire,
    Cells,
    PlainRequests,
    Query,
    html_answer,
    json_answer,
    whole_number,
)

CHART = "/v8/finance/chart/"
BARS: dict[str, Timeframe] = {name: TIMEFRAMES[name] for name in ("1m", "5m", "15m", "30m", "1d")}
REACH_DAYS = {"1m": 7, "5m": 60, "15m": 60, "30m": 60}
COLUMNS = ("open", "high", "low", "close", "volume")
OPENING_S = 14 * 3600 + 30 * 60  # of New York in winter, in UTC

HOUSE_RULES = HouseRules((RequestWindow(60, span_ms=60_000),))


def _opening_s(result: Any) -> int:
    return OPENING_S if result["meta"]["dataGranularity"] == "1d" else 0


def _flat(body: Any) -> list[Cells]:
    """Columns as rows: time in seconds, o, h, l, c, volume."""
    (result,) = body["chart"]["result"]
    quote = result["indicators"]["quote"][0]
    times_s = [at_s - _opening_s(result) for at_s in result.get("timestamp", [])]
    return [list(row) for row in zip(times_s, *(quote.get(name, []) for name in COLUMNS), strict=True)]


def _put(body: Any, rows: list[Cells]) -> None:
    (result,) = body["chart"]["result"]
    result.pop("timestamp", None)
    result["indicators"] = {"quote": [{}]}
    if rows:
        times_s, *columns = zip(*rows, strict=True)
        result["timestamp"] = [at_s + _opening_s(result) for at_s in times_s]
        result["indicators"] = {"quote": [dict(zip(COLUMNS, map(list, columns), strict=True))]}


WIRE = CandleWire(
    (CHART,),
    lambda query: BARS[query.get("interval", "1d")],
    _flat,
    newest_first=False,
    unit_ms=1000,
    put_rows=_put,
)


class YahooProtocol(PlainRequests):
    """See :class:`backfill.paper.protocol.ExchangeProtocol`.

    ``live_quote``: the newest quote stands last. ``nulls``: bars that are missing come as nulls.
    """

    house_rules = HOUSE_RULES
    wire = WIRE

    def __init__(self, *, live_quote: bool = False, nulls: bool = False) -> None:
        self.live_quote = live_quote
        self.nulls = nulls

    def answer(self, market: PaperMarket, method: str, path: str, query: Query, now_ms: int) -> Answer:
        """Answer charts."""
        if method != "GET" or not path.startswith(CHART):
            return html_answer(404, "404 Not Found")
        try:
            return self._chart(market, path.removeprefix(CHART), query, now_ms)
        except UnknownSymbol:
            return _failure(404, "Not Found", "No data found, symbol may be delisted")

    def refusal(self, refused: PaperRefusal, now_ms: int) -> Answer:
        """429 is text."""
        if refused.status == 429:
            return Answer(429, b"Too Many Requests\r\n", media_type="text/plain")
        return html_answer(refused.status, f"{refused.status} Forbidden")

    def _chart(self, market: PaperMarket, symbol: str, query: Query, now_ms: int) -> Answer:
        instrument, name = market.instrument(symbol), query.get("interval", "1d")
        bar = BARS.get(name)
        start_s, end_s = whole_number(query.get("period1", "")), whole_number(query.get("period2", ""))
        if bar is None or start_s is None or end_s is None or start_s >= end_s:
            return _failure(422, "Unprocessable Entity", "Invalid input")
        days = REACH_DAYS.get(name)
        if days is not None and start_s * 1000 < now_ms - days * DAY_MS:
            text = f"{name} data not available for startTime={start_s}. It must be within the last {days} days."
            return _failure(422, "Unprocessable Entity", text)
        offset_ms = OPENING_S * 1000 if bar.step_ms == DAY_MS else 0
        start_ms, end_ms = bar.ceil(start_s * 1000 - offset_ms), min(end_s * 1000 - offset_ms, now_ms + 1)
        bars = market.candles(symbol, name, start_ms, end_ms, now_ms)
        rows = [[row[0] // 1000, *row[1:5], round(row[5])] for row in bars.tolist()]
        if self.nulls:
            known = {row[0] for row in rows}
            grid = range(start_ms // 1000, end_ms // 1000, bar.step_ms // 1000)
            rows = sorted([*rows, *([at_s, *[None] * len(COLUMNS)] for at_s in grid if at_s not in known)])
        if self.live_quote and rows and end_ms > now_ms:
            rows.append([now_ms // 1000, *rows[-1][4:5] * 4, 0])
        meta = {
            "currency": instrument.quote if "-" in symbol else "USD",
            "symbol": symbol,
            "exchangeTimezoneName": "America/New_York",
            "regularMarketTime": now_ms // 1000,
            "dataGranularity": name,
        }
        body: dict[str, Any] = {"chart": {"result": [{"meta": meta}], "error": None}}
        _put(body, rows)
        return json_answer(body, symbol=symbol)


def _failure(status: int, code: str, description: str) -> Answer:
    return json_answer({"chart": {"result": None, "error": {"code": code, "description": description}}}, status)
