"""Alpha Vantage's TIME_SERIES_DAILY and FX_DAILY, after https://www.alphavantage.co/documentation/.

Every answer has status 200; limits and errors are sentences, as others recorded them. The newest day is running.
``compact`` has 100 days, ``full`` all; without ``has_full`` that needs a higher plan.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from backfill.domain.timeframes import DAY_MS, TIMEFRAMES
from backfill.paper.limits import HouseRules, PaperRefusal, RequestWindow
from backfill.paper.market import PaperMarket
from backfill.paper.protocol import (
    FOREVER_MS,
    Answer,
    CandleWire,
    Cells,
    PlainRequests,
    Query,
    dated,
    decimals_of,
    fixed_decimals,
    html_answer,
    json_answer,
)

COMPACT, WHOLE = 100, 10_000
PAPER_KEY = "paper-key-5c1e"
FUNCTIONS = {"TIME_SERIES_DAILY": "Time Series (Daily)", "FX_DAILY": "Time Series FX (Daily)"}
THANKS = "Thank you for using Alpha Vantage! "
PREMIUM = "You may subscribe to any of the premium plans at https://www.alphavantage.co/premium/"


STOCK_NAMES = ("1. open", "2. high", "3. low", "4. close", "5. volume")


def _days_in(body: Any) -> list[Cells]:
    """The days as rows: open time in ms, then the numbers."""
    if "data" in body:
        raise KeyError("splits are no days")
    days = next(body[name] for name in FUNCTIONS.values() if name in body)
    return [[_ms_of(label), *cells.values()] for label, cells in days.items()]


def _put(body: Any, rows: list[Cells]) -> None:
    name = next(name for name in FUNCTIONS.values() if name in body)
    body[name] = {_label(row[0]): dict(zip(STOCK_NAMES, row[1:], strict=False)) for row in rows}


def _label(open_ms: int) -> str:
    """A date; with the time, as of intraday rows, where a fault has moved the day."""
    at = f"{datetime.fromtimestamp(open_ms / 1000, tz=timezone.utc):%Y-%m-%d %H:%M:%S}"
    return at.removesuffix(" 00:00:00")


def _ms_of(label: str) -> int:
    return round(datetime.fromisoformat(label).replace(tzinfo=timezone.utc).timestamp() * 1000)


class AlphaVantageProtocol(PlainRequests):
    house_rules = HouseRules((RequestWindow(25, span_ms=DAY_MS), RequestWindow(1, span_ms=1000)))
    wire = CandleWire(("/query",), lambda query: TIMEFRAMES["1d"], _days_in, has_cursor=False, put_rows=_put)

    def __init__(self, *, has_full: bool = True) -> None:
        self._has_full = has_full

    def answer(self, market: PaperMarket, method: str, path: str, query: Query, now_ms: int) -> Answer:
        """Answer the two functions, and SPLITS."""
        key, function = query.get("apikey"), query.get("function", "")
        if not key:
            return json_answer({"Error Message": "the parameter apikey is invalid or missing."})
        if function == "SPLITS":
            known = market.splits.get(query.get("symbol", ""), ())
            data = [
                {"effective_date": dated(ms), "split_factor": f"{ratio:.4f}"} for ms, ratio in known if ms <= now_ms
            ]
            return json_answer({"symbol": query.get("symbol"), "data": data})
        if function not in FUNCTIONS:
            return json_answer({"Information": f"{THANKS}This is a premium endpoint. {PREMIUM}"})
        is_pair = function == "FX_DAILY"
        name = f"{query.get('from_symbol')}_{query.get('to_symbol')}" if is_pair else query.get("symbol", "")
        instrument = {one.symbol: one for one in market.instruments}.get(name)
        if instrument is None or ("_" in name) != is_pair:
            advice = "Please retry or visit the documentation (https://www.alphavantage.co/documentation/)"
            return json_answer({"Error Message": f"Invalid API call. {advice} for {function}."})
        is_full = query.get("outputsize") == "full"
        if is_full and not self._has_full:
            return json_answer({"Information": f"{THANKS}outputsize=full is a premium feature. {PREMIUM}"})
        days = market.newest(name, "1d", 0, FOREVER_MS, WHOLE if is_full else COMPACT, now_ms)[::-1]
        columns = [
            fixed_decimals(days[column], decimals_of(instrument.tick_size))
            for column in ("open", "high", "low", "close")
        ]
        if not is_pair:
            columns.append(fixed_decimals(days["base_volume"], 0))
        series = {
            _label(open_ms): dict(zip(STOCK_NAMES, cells, strict=False))
            for open_ms, *cells in zip(days["open_ms"].tolist(), *columns, strict=True)
        }
        meta = {"1. Information": "Daily Prices", "2. Symbol": name, "5. Time Zone": "UTC" if is_pair else "US/Eastern"}
        return json_answer({"Meta Data": meta, FUNCTIONS[function]: series}, symbol=name)

    def refusal(self, refused: PaperRefusal, now_ms: int) -> Answer:
        """A sentence, which repeats the key."""
        if refused.status == 429:
            said = (
                f"We have detected your API key as {PAPER_KEY} and our standard API rate limit is 25 requests per day."
            )
            return json_answer({"Information": f"{said} {PREMIUM} to instantly remove all daily rate limits."})
        return html_answer(refused.status, f"{refused.status} Forbidden")
