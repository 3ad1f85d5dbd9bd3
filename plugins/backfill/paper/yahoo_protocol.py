"""Yahoo's chart endpoint, after the package yfinance and recorded answers: columns, nulls for bars without trades, the
latest trade as a last row at its own time, 422 beyond the reach, 404 for an unknown symbol.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backfill.domain.timeframes import DAY_MS, HOUR_MS, MINUTE_MS, TIMEFRAMES
from backfill.paper.limits import HouseRules, PaperRefusal, RequestWindow
from backfill.paper.market import PaperInstrument, PaperMarket, split_adjusted
from backfill.paper.protocol import (
    Answer,
    CandleWire,
    Cells,
    PlainRequests,
    Query,
    html_answer,
    json_answer,
    spelled,
    whole_number,
)

ROOT = "/v8/finance/chart/"
INTERVALS = {name: TIMEFRAMES[name] for name in ("1m", "5m", "15m", "30m", "1d")}
# Days back from now, and days in one request.
REACH_DAYS = {"1m": 30, "5m": 60, "15m": 60, "30m": 60}
MOST_DAYS = {"1m": 8}
COLUMNS = ("open", "high", "low", "close", "volume")
SESSION_OPENS_MS = 13 * HOUR_MS + 30 * MINUTE_MS


def _opens_s(result: Any) -> int:
    """How long after its midnight a day is dated."""
    return SESSION_OPENS_MS // 1000 if result["meta"]["dataGranularity"] == "1d" else 0


def _flat(body: Any) -> list[Cells]:
    """Columns as rows: time in seconds, o, h, l, c, volume."""
    (result,) = body["chart"]["result"]
    (quote,) = result["indicators"]["quote"]
    times = [seconds - _opens_s(result) for seconds in result.get("timestamp", [])]
    return [list(row) for row in zip(times, *(quote.get(name, []) for name in COLUMNS), strict=True)]


def _put(body: Any, rows: list[Cells]) -> None:
    (result,) = body["chart"]["result"]
    result["timestamp"] = [row[0] + _opens_s(result) for row in rows]
    result["indicators"] = {"quote": [{name: [row[place] for row in rows] for place, name in enumerate(COLUMNS, 1)}]}


def _error(status: int, code: str, description: str) -> Answer:
    return json_answer({"chart": {"result": None, "error": {"code": code, "description": description}}}, status)


class YahooProtocol(PlainRequests):
    house_rules = HouseRules((RequestWindow(1000, span_ms=HOUR_MS),))
    read_headers = ("user-agent",)
    wire = CandleWire(
        (ROOT,),
        lambda query: INTERVALS[query.get("interval", "")],
        _flat,
        newest_first=False,
        unit_ms=1000,
        put_rows=_put,
    )

    def answer(self, market: PaperMarket, method: str, path: str, query: Query, now_ms: int) -> Answer:
        """Answer charts."""
        if "python-requests" in query.get("user-agent:", ""):
            return Answer(429, b"Too Many Requests", media_type="text/html")
        instrument = spelled(market, ticker_of).get(path.removeprefix(ROOT))
        if instrument is None:
            return _error(404, "Not Found", "No data found, symbol may be delisted")
        bar = INTERVALS.get(query.get("interval", ""))
        start_s, end_s = whole_number(query.get("period1", "")), whole_number(query.get("period2", ""))
        if bar is None or start_s is None or end_s is None:
            return _error(422, "Unprocessable Entity", "Invalid input")
        start_ms, end_ms = 1000 * start_s, 1000 * end_s
        range_said = f"{bar.name} data not available for startTime={start_s} and endTime={end_s}."
        if start_ms < now_ms - REACH_DAYS.get(bar.name, 100_000) * DAY_MS:
            days = REACH_DAYS[bar.name]
            said = f"{range_said} The requested range must be within the last {days} days."
            return _error(422, "Unprocessable Entity", said)
        if end_ms - start_ms > MOST_DAYS.get(bar.name, 100_000) * DAY_MS:
            said = f"{range_said} Only 8 days worth of 1m granularity data are allowed to be fetched per request."
            return _error(422, "Unprocessable Entity", said)
        if end_ms <= bar.floor(instrument.listed_ms):
            said = f"Data doesn't exist for startDate = {start_s}, endDate = {end_s}"
            return _error(400, "Bad Request", said)
        page = market.candles(instrument.symbol, bar.name, start_ms, min(end_ms, now_ms + 1), now_ms)
        page = split_adjusted(page, market.splits.get(instrument.symbol, ()), now_ms)
        grid = np.arange(bar.ceil(start_ms), min(end_ms, now_ms + 1), bar.step_ms)
        opens_ms = np.union1d(grid[grid >= bar.floor(instrument.listed_ms)], page["open_ms"])
        return _chart(page, opens_ms, instrument, bar.step_ms, now_ms)

    def refusal(self, refused: PaperRefusal, now_ms: int) -> Answer:
        """Plain text, as recorded."""
        if refused.status == 429:
            return Answer(429, b"Too Many Requests", media_type="text/html")
        return html_answer(refused.status, f"{refused.status} Forbidden")


def _chart(page: object, opens_ms: object, instrument: PaperInstrument, step_ms: int, now_ms: int) -> Answer:
    candles, opens = np.asarray(page), np.asarray(opens_ms)
    places = {ms: place for place, ms in enumerate(candles["open_ms"].tolist())}
    quote: dict[str, list[object]] = {}
    for name, column in (("open",) * 2, ("high",) * 2, ("low",) * 2, ("close",) * 2, ("volume", "base_volume")):
        cells = candles[column].tolist()
        quote[name] = [None if (place := places.get(ms)) is None else cells[place] for ms in opens.tolist()]
    times = [ms // 1000 for ms in opens.tolist()]
    if step_ms == DAY_MS and "_" not in instrument.symbol:
        times = [seconds + SESSION_OPENS_MS // 1000 for seconds in times]
    elif times and places and times[-1] * 1000 + step_ms > now_ms:
        times[-1] = max(times[-1], now_ms // 1000 - 1)  # the latest trade, at its own time
    granularity = next(name for name, bar in INTERVALS.items() if bar.step_ms == step_ms)
    meta = {"symbol": ticker_of(instrument), "gmtoffset": -18_000, "dataGranularity": granularity}
    result: dict[str, Any] = {"meta": meta, "indicators": {"quote": [quote]}}
    if times:
        result["timestamp"] = times
    else:
        result["indicators"] = {"quote": [{}]}
    return json_answer({"chart": {"result": [result], "error": None}}, symbol=instrument.symbol)


def ticker_of(instrument: PaperInstrument) -> str | None:
    """``AAPL``, ``EURUSD=X`` of ``EUR_USD``."""
    if "-" in instrument.symbol:
        return None
    return f"{instrument.symbol.replace('_', '')}=X" if "_" in instrument.symbol else instrument.symbol
