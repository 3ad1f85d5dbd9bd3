"""Tidemark's API on paper: what its documentation would say, over a market of ours."""

from __future__ import annotations

from backfill.domain.timeframes import TIMEFRAMES
from backfill.paper.limits import HouseRules, PaperRefusal, RequestWindow
from backfill.paper.market import PaperInstrument, PaperMarket
from backfill.paper.protocol import (
    Answer,
    CandleWire,
    PlainRequests,
    Query,
    html_answer,
    in_contracts,
    json_answer,
    whole_number,
)

MOST_ROWS = 500
WIDTHS = {str(TIMEFRAMES[name].step_ms // 1000): TIMEFRAMES[name] for name in ("1m", "5m", "15m", "1h", "4h", "1d")}


class TidemarkProtocol(PlainRequests):
    """See :class:`backfill.paper.protocol.ExchangeProtocol`."""

    house_rules = HouseRules((RequestWindow(120, span_ms=60_000),))
    wire = CandleWire(
        ("/v1/bars",),
        lambda query: WIDTHS[query.get("width", "60")],
        lambda body: body["bars"],
        newest_first=False,
        unit_ms=1000,
    )

    def answer(self, market: PaperMarket, method: str, path: str, query: Query, now_ms: int) -> Answer:
        """Answer markets and bars."""
        if path == "/v1/markets":
            return json_answer({"markets": [_market(one) for one in market.instruments if one.kind == "linear"]})
        return _bars(market, query, now_ms) if path == "/v1/bars" else json_answer({"error": "not_found"}, 404)

    def refusal(self, refused: PaperRefusal, now_ms: int) -> Answer:
        """429 in its own words; others come from the firewall."""
        if refused.status == 429:
            return json_answer({"error": "slow_down"}, 429)
        return html_answer(refused.status, f"{refused.status} Forbidden")


def _bars(market: PaperMarket, query: Query, now_ms: int) -> Answer:
    listed = {_name(one): one for one in market.instruments if one.kind == "linear"}
    instrument, bar = listed.get(query.get("market", "")), WIDTHS.get(query.get("width", "60"))
    start_s, end_s = whole_number(query.get("from", "")), whole_number(query.get("to", ""))
    if instrument is None:
        return json_answer({"error": "unknown_market"}, 404)
    if bar is None or start_s is None or end_s is None:
        return json_answer({"error": "bad_parameter"}, 400)
    found = market.oldest(instrument.symbol, bar.name, start_s * 1000, end_s * 1000, MOST_ROWS, now_ms)
    columns = [found[name].tolist() for name in ("open", "high", "low", "close")]
    times_s = (found["open_ms"] // 1000).tolist()
    rows = list(zip(times_s, *columns, in_contracts(found, instrument).tolist(), strict=True))
    return json_answer({"bars": rows}, symbol=instrument.symbol)


def _market(one: PaperInstrument) -> dict[str, object]:
    return {
        "name": _name(one),
        "base": one.base,
        "quote": one.quote,
        "contract": str(one.contract_value),
        "open": True,
        "listed": one.listed_ms // 1000,
    }


def _name(one: PaperInstrument) -> str:
    return f"{one.base}_{one.quote}_PERP"
