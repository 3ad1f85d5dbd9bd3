"""Bybit's public REST API v5: klines, instruments, time.

After Bybit's documentation (Get Kline, Get Instruments Info, Get Server Time, Rate Limit) and recorded answers. Always
HTTP 200; ``retCode`` marks errors. ``start`` alone gives the oldest bars from the one that contains it (ro-soku #3), or
from the listing if later (pybit #186); with ``end`` the newest in between. A ``limit`` above 1000 is cut to 1000. (The
last two and the error texts are not verified.)

Mark and index price klines have five columns (Get Mark Price Kline, Get Index Price Kline). Not served: premium index
klines, options, futures, bars of a month.
"""

from __future__ import annotations

from collections.abc import Sequence

from backfill.domain.timeframes import MINUTE_MS, TIMEFRAMES
from backfill.paper.limits import HouseRules, PaperRefusal, RequestWindow
from backfill.paper.market import Candles, Kind, PaperInstrument, PaperMarket, prices_of
from backfill.paper.protocol import (
    FOREVER_MS,
    Answer,
    CandleWire,
    PlainRequests,
    Query,
    html_answer,
    json_answer,
    plain_decimals,
    spelled,
    whole_number,
)

KLINE, INSTRUMENTS, TIME = "/v5/market/kline", "/v5/market/instruments-info", "/v5/market/time"
PRICE_KLINES = {"/v5/market/mark-price-kline": "mark", "/v5/market/index-price-kline": "index"}
FUNDING, MAX_FUNDING = "/v5/market/funding/history", 200
DEFAULT_LIMIT, MAX_LIMIT = 200, 1000
DEFAULT_INSTRUMENTS, MAX_INSTRUMENTS = 500, 1000

# Intervals are minutes, except D and W.
INTERVALS = {
    {"1d": "D", "1w": "W"}.get(name, str(bar.step_ms // MINUTE_MS)): bar
    for name, bar in TIMEFRAMES.items()
    if name != "8h"
}
KINDS: dict[str, Kind] = {"spot": "spot", "linear": "linear", "inverse": "inverse"}

WIRE = CandleWire((KLINE,), lambda query: INTERVALS[query["interval"]], lambda body: body["result"]["list"])

# "If you encounter the error '403, access too frequent', ... wait for at least 10 minutes" (Rate Limit)
HOUSE_RULES = HouseRules((RequestWindow(600, span_ms=5000, suspension_ms=10 * MINUTE_MS, status=403),))


class _BybitError(Exception):
    pass


class BybitProtocol(PlainRequests):
    house_rules = HOUSE_RULES
    wire = WIRE

    def answer(self, market: PaperMarket, method: str, path: str, query: Query, now_ms: int) -> Answer:
        """Answer klines, instruments and time; errors have a ``retCode``."""
        if method != "GET" or path not in (KLINE, INSTRUMENTS, TIME, FUNDING, *PRICE_KLINES):
            return html_answer(404, "404 page not found")
        try:
            if path == KLINE or path in PRICE_KLINES:
                return _kline(market, query, now_ms, PRICE_KLINES.get(path))
            if path == FUNDING:
                return _success(_funding(market, query, now_ms), now_ms)
            if path == INSTRUMENTS:
                return _success(_instruments(market, query), now_ms)
            return _success({"timeSecond": str(now_ms // 1000), "timeNano": str(now_ms * 1_000_000)}, now_ms)
        except _BybitError as error:
            body = {"retCode": 10001, "retMsg": str(error), "result": {}, "retExtInfo": {}, "time": now_ms}
            return json_answer(body)

    def refusal(self, refused: PaperRefusal, now_ms: int) -> Answer:
        """403 comes as text from in front of the API, without a waiting time."""
        if refused.status == 403:
            return Answer(403, b"403, access too frequent", media_type="text/plain")
        return html_answer(refused.status, str(refused.status))


def _kline(market: PaperMarket, query: Query, now_ms: int, price: str | None = None) -> Answer:
    """Newest first, the running bar included and not marked."""
    category = _category(query)
    listed = spelled(market, lambda i: _symbol(i) if i.kind == KINDS[category] else None)
    instrument = listed.get(query.get("symbol", ""))
    if instrument is None:
        raise _BybitError("Not supported symbols")
    bar = INTERVALS.get(query.get("interval", ""))
    if bar is None:
        raise _BybitError("Invalid period!")
    limit = min(_whole_number(query, "limit", DEFAULT_LIMIT), MAX_LIMIT)
    if limit < 1:
        raise _BybitError("params error: limit invalid")
    start_ms = bar.floor(_whole_number(query, "start", 0))
    end_ms = _whole_number(query, "end", FOREVER_MS) + 1
    page_of = market.oldest if query.get("start") and not query.get("end") else market.newest
    page = page_of(instrument.symbol, bar.name, start_ms, end_ms, limit, now_ms)
    rows: list[tuple[str, ...]] = _rows(page[::-1], instrument)
    if price:
        rows = [row[:5] for row in _rows(prices_of(page[::-1], price, instrument.tick_size), instrument)]
    result = {"category": category, "symbol": _symbol(instrument), "list": rows}
    return _success(result, now_ms, instrument.symbol)


def _funding(market: PaperMarket, query: Query, now_ms: int) -> dict[str, object]:
    """Newest first, up to ``endTime`` (Get Funding Rate History)."""
    category, symbol = _category(query), query.get("symbol", "")
    instrument = spelled(market, lambda i: _symbol(i) if i.kind == KINDS[category] else None).get(symbol)
    if instrument is None:
        raise _BybitError("Not supported symbols")
    end_ms = min(_whole_number(query, "endTime", FOREVER_MS), now_ms) + 1
    paid = market.funding(instrument.symbol, 0, end_ms)[::-1][: _whole_number(query, "limit", MAX_FUNDING)]
    rows = [{"symbol": symbol, "fundingRate": f"{rate:.6f}", "fundingRateTimestamp": str(ms)} for ms, rate in paid]
    return {"category": category, "list": rows}


def _rows(candles: Candles, instrument: PaperInstrument) -> list[tuple[str, ...]]:
    """Seven columns: start, o, h, l, c, volume in coins, turnover in quote currency (inverse: swapped)."""
    columns = [candles[name] for name in ("open", "high", "low", "close")]
    volumes = [candles["base_volume"], candles["quote_volume"]]
    columns += volumes[::-1] if instrument.kind == "inverse" else volumes
    opens_ms: Sequence[int] = candles["open_ms"].tolist()
    return list(zip(map(str, opens_ms), *map(plain_decimals, columns), strict=True))


def _instruments(market: PaperMarket, query: Query) -> dict[str, object]:
    """One page of a category; spot is not paged. None is in pre-launch."""
    category = _category(query)
    listed = [i for i in market.instruments if i.kind == KINDS[category]]
    if query.get("status") not in (None, "", "Trading"):
        listed = []
    if query.get("symbol"):
        listed = [i for i in listed if _symbol(i) == query["symbol"]]
    if category == "spot":
        return {"category": category, "list": [_spot_fields(i) for i in listed]}
    first = _whole_number(query, "cursor", 0)
    past = first + min(_whole_number(query, "limit", DEFAULT_INSTRUMENTS), MAX_INSTRUMENTS)
    cursor = str(past) if past < len(listed) else ""
    page = [_perpetual_fields(i) for i in listed[first:past]]
    return {"category": category, "list": page, "nextPageCursor": cursor}


def _symbol(instrument: PaperInstrument) -> str:
    """``BTCUSDT`` in three categories; a perpetual in USDC is ``BTCPERP``."""
    is_usdc_perpetual = instrument.kind == "linear" and instrument.quote == "USDC"
    return instrument.base + ("PERP" if is_usdc_perpetual else instrument.quote)


def _spot_fields(instrument: PaperInstrument) -> dict[str, object]:
    return {
        "symbol": _symbol(instrument),
        "baseCoin": instrument.base,
        "quoteCoin": instrument.quote,
        "innovation": "0",
        "status": "Trading",
        "marginTrading": "both",
        "lotSizeFilter": {
            "basePrecision": f"{instrument.lot_size:f}",
            "quotePrecision": "0.00000001",
            "minOrderQty": f"{instrument.lot_size:f}",
            "maxOrderQty": "1000000000",
            "minOrderAmt": "1",
            "maxOrderAmt": "4000000",
        },
        "priceFilter": {"tickSize": f"{instrument.tick_size:f}"},
    }


def _perpetual_fields(instrument: PaperInstrument) -> dict[str, object]:
    is_inverse = instrument.kind == "inverse"
    return {
        "symbol": _symbol(instrument),
        "contractType": "InversePerpetual" if is_inverse else "LinearPerpetual",
        "status": "Trading",
        "baseCoin": instrument.base,
        "quoteCoin": instrument.quote,
        "launchTime": str(instrument.listed_ms),
        "deliveryTime": "0",
        "deliveryFeeRate": "",
        "priceScale": "2",
        "leverageFilter": {"minLeverage": "1", "maxLeverage": f"{instrument.max_leverage}.00", "leverageStep": "0.01"},
        "priceFilter": {
            "minPrice": f"{instrument.tick_size:f}",
            "maxPrice": "1999999.80",
            "tickSize": f"{instrument.tick_size:f}",
        },
        "lotSizeFilter": {
            "maxOrderQty": "1000000000",
            "minOrderQty": f"{instrument.lot_size:f}",
            "qtyStep": f"{instrument.lot_size:f}",
            "postOnlyMaxOrderQty": "1000000000",
            "minNotionalValue": "5",
        },
        "unifiedMarginTrade": True,
        "fundingInterval": 480,
        "settleCoin": instrument.settle,
    }


def _success(result: object, now_ms: int, symbol: str | None = None) -> Answer:
    body = {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": now_ms}
    return json_answer(body, symbol=symbol)


def _category(query: Query) -> str:
    category = query.get("category") or "linear"
    if category not in KINDS:
        raise _BybitError("Illegal category")
    return category


def _whole_number(query: Query, name: str, default: int) -> int:
    text = query.get(name)
    if not text:
        return default
    number = whole_number(text)
    if number is None:
        raise _BybitError(f"params error: {name} invalid")
    return number
