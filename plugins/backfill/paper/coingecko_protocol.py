"""CoinGecko's OHLC of coins, after https://docs.coingecko.com/v3.0.1/reference/coins-id-ohlc.

One or two days are bars of 30 minutes, up to 30 days of 4 hours; a row's time is its bar's end, or now. Longer spans,
of 4 days a bar, are not served. Ids are those of a few coins.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from backfill.domain.timeframes import DAY_MS, TIMEFRAMES, Timeframe
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

ROOT = "/api/v3/coins/"
IDS = {"bitcoin": "BTC", "ethereum": "ETH", "solana": "SOL", "ripple": "XRP", "pepe": "PEPE"}
SPANS = (1, 7, 14, 30)
FINEST = TIMEFRAMES["30m"]


def _bar_of(days: int) -> Timeframe:
    return TIMEFRAMES["30m" if days <= 2 else "4h"]


def _rows_by_opens(body: Any) -> list[Cells]:
    """Rows that begin with the open time; the last cell is the end, or now."""
    step_ms = min((later[0] - earlier[0] for earlier, later in pairwise(body[:-1])), default=FINEST.step_ms)
    return [[-(-row[0] // step_ms) * step_ms - step_ms, *row[1:], row[0]] for row in body]


def _put(body: Any, rows: list[Cells]) -> None:
    opens_ms = {row[-1]: row[0] for row in _rows_by_opens(body)}
    body[:] = [[end_ms + open_ms - opens_ms[end_ms], *prices] for open_ms, *prices, end_ms in rows]


class CoinGeckoProtocol(PlainRequests):
    house_rules = HouseRules((RequestWindow(30, span_ms=60_000),))
    wire = CandleWire(
        (ROOT,),
        lambda query: _bar_of(int(query.get("days", "1"))),
        _rows_by_opens,
        newest_first=False,
        numbers=(1, 2, 3, 4),
        has_cursor=False,
        put_rows=_put,
    )

    def answer(self, market: PaperMarket, method: str, path: str, query: Query, now_ms: int) -> Answer:
        """Answer OHLC."""
        coin, days = path.removeprefix(ROOT).removesuffix("/ohlc"), whole_number(query.get("days", ""))
        instrument = {one.base: one for one in market.instruments if "-" in one.symbol}.get(IDS.get(coin, ""))
        if instrument is None:
            return json_answer({"error": "coin not found"}, 404)
        if days not in SPANS or query.get("vs_currency") != "usd":
            return json_answer({"status": {"error_code": 10_000, "error_message": "invalid parameter"}}, 400)
        bar = _bar_of(days)
        page = market.candles(instrument.symbol, bar.name, bar.ceil(now_ms - days * DAY_MS), now_ms + 1, now_ms)
        ends_ms = [min(open_ms + bar.step_ms, now_ms) for open_ms in page["open_ms"].tolist()]
        columns = [page[column].tolist() for column in ("open", "high", "low", "close")]
        return json_answer(list(zip(ends_ms, *columns, strict=True)), symbol=instrument.symbol)

    def refusal(self, refused: PaperRefusal, now_ms: int) -> Answer:
        """429 in JSON."""
        if refused.status == 429:
            said = "You've exceeded the Rate Limit. Please visit https://www.coingecko.com/en/api/pricing"
            return json_answer({"status": {"error_code": 429, "error_message": said}}, 429)
        return html_answer(refused.status, f"{refused.status} Forbidden")
