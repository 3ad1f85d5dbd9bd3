"""Alpha Vantage's TIME_SERIES_DAILY and FX_DAILY, after https://www.alphavantage.co/documentation/.

Every answer has status 200; limits and errors are sentences, as others recorded them. The newest day is the running
one.
``compact`` has 100 days, ``full`` all; without ``has_full`` that needs a higher plan.
"""

from __future__ import annotations

from backfill.domain.timeframes import DAY_MS, TIMEFRAMES
from backfill.paper.limits import HouseRules, PaperRefusal, RequestWindow
from backfill.paper.market import PaperMarket
from backfill.paper.protocol import (
    FOREVER_MS,
    Answer,
    CandleWire,
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


def _no_list(_: object) -> list[object]:
    raise KeyError("its days are an object by date")


class AlphaVantageProtocol(PlainRequests):
    """See :class:`backfill.paper.protocol.ExchangeProtocol`. It has no list of rows, so page faults pass it by."""

    house_rules = HouseRules((RequestWindow(25, span_ms=DAY_MS), RequestWindow(1, span_ms=1000)))
    wire = CandleWire(("/query",), lambda query: TIMEFRAMES["1d"], _no_list)

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
        names = ["1. open", "2. high", "3. low", "4. close"]
        if not is_pair:
            columns.append(fixed_decimals(days["base_volume"], 0))
            names.append("5. volume")
        dates = [dated(ms) for ms in days["open_ms"].tolist()]
        series = {
            date: dict(zip(names, cells, strict=True))
            for date, cells in zip(dates, zip(*columns, strict=True), strict=True)
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
