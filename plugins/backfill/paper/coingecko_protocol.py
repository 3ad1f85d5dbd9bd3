"""CoinGecko's OHLC of coins, after docs.coingecko.com/v3.0.1/reference/coins-id-ohlc.

``days`` decides the length of a bar: 30 minutes for 1 day, 4 hours for 7 to 30, 4 days for more (not served here). A
row is dated by its end; the running bar is dated by the end that it will have. Errors are as others recorded them.
"""

from __future__ import annotations

import re

from backfill.domain.timeframes import DAY_MS, TIMEFRAMES, Timeframe
from backfill.paper.limits import HouseRules, PaperRefusal, RequestWindow
from backfill.paper.market import PaperMarket
from backfill.paper.protocol import (
    Answer,
    CandleWire,
    PlainRequests,
    Query,
    html_answer,
    json_answer,
)

COINS = "/api/v3/coins/"
_OHLC = re.compile(COINS + r"([a-z0-9-]+)/ohlc")
IDS = {"bitcoin": "BTC", "ethereum": "ETH", "solana": "SOL", "ripple": "XRP", "dogecoin": "DOGE"}
BARS: dict[str, Timeframe] = {"1": TIMEFRAMES["30m"], **dict.fromkeys(("7", "14", "30"), TIMEFRAMES["4h"])}
KEY_HEADER = "x-cg-demo-api-key"

HOUSE_RULES = HouseRules((RequestWindow(30, span_ms=60_000),))


class CoinGeckoProtocol(PlainRequests):
    """See :class:`backfill.paper.protocol.ExchangeProtocol`. Served to those with a key."""

    house_rules = HOUSE_RULES
    read_headers = (KEY_HEADER,)
    wire = CandleWire(
        (COINS,),
        lambda query: BARS[query["days"]],
        lambda body: body,
        newest_first=False,
        numbers=(1, 2, 3, 4),
        has_cursor=False,
    )

    def answer(self, market: PaperMarket, method: str, path: str, query: Query, now_ms: int) -> Answer:
        """Answer OHLC."""
        found = _OHLC.fullmatch(path)
        if method != "GET" or found is None:
            return json_answer({"error": "Incorrect path. Please check https://docs.coingecko.com/"}, 404)
        if not query.get(f"{KEY_HEADER}:"):
            return json_answer({"status": {"error_code": 10002, "error_message": "API Key Missing"}}, 401)
        symbols = {one.base: one.symbol for one in market.instruments if one.kind == "linear"}
        symbol, bar = symbols.get(IDS.get(found[1], "")), BARS.get(query.get("days", ""))
        if symbol is None:
            return json_answer({"error": "coin not found"}, 404)
        if bar is None or query.get("vs_currency") != "usd":
            return json_answer({"error": "Invalid parameter"}, 422)
        start_ms = bar.ceil(now_ms - int(query["days"]) * DAY_MS)
        bars = market.candles(symbol, bar.name, start_ms, now_ms + 1, now_ms)
        rows = [[open_ms + bar.step_ms, *prices[:4]] for open_ms, *prices in bars.tolist()]
        return json_answer(rows, symbol=symbol)

    def refusal(self, refused: PaperRefusal, now_ms: int) -> Answer:
        """429 in JSON; the firewall's is HTML."""
        if refused.status == 429:
            return json_answer({"status": {"error_code": 429, "error_message": "You've exceeded the Rate Limit."}}, 429)
        return html_answer(refused.status, f"{refused.status} Forbidden")
