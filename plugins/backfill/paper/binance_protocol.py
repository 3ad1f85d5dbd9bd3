"""Binance's public REST APIs: spot (``/api/v3``), USD-M futures (``/fapi/v1``), COIN-M futures (``/dapi/v1``).

After Binance's documentation (Kline/Candlestick Data, Exchange Information, Check Server Time, LIMITS) and recorded
answers. Klines come oldest first: with ``startTime`` the oldest from it, or from the listing if later; with ``endTime``
alone the newest up to it. Requests have weights. Asking on after a 429 brings a 418 ban, longer each time, up to three
days. (That the tenth refusal brings it is made up. Binance counts by clock minute, here it is any 60 seconds.)

Mark and index price klines of USD-M have zero volumes, those of the index take ``pair`` (Mark Price Kline, Index Price
Kline). Not served: premium klines, those of COIN-M, delivery contracts, bars of 1s, 3d and a month.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from backfill.domain.timeframes import DAY_MS, HOUR_MS, MINUTE_MS, TIMEFRAMES, Timeframe
from backfill.paper.limits import Ban, HouseRules, PaperRefusal, RequestWindow
from backfill.paper.market import Candles, Kind, PaperInstrument, PaperMarket, prices_of
from backfill.paper.protocol import (
    FOREVER_MS,
    Answer,
    CandleWire,
    Query,
    decimals_of,
    fixed_decimals,
    html_answer,
    in_contracts,
    json_answer,
    spelled,
    whole_number,
)

DEFAULT_LIMIT = 500
PERPETUAL_DELIVERS_MS = 4_133_404_800_000
TRADE_SIZE = 5_000  # in quote currency; trade counts are made up from the turnover


@dataclass(frozen=True)
class _Family:
    root: str
    kind: Kind
    max_weight: int
    max_limit: int


FAMILIES = (
    _Family("/api/v3", "spot", max_weight=6000, max_limit=1000),
    _Family("/fapi/v1", "linear", max_weight=2400, max_limit=1500),
    _Family("/dapi/v1", "inverse", max_weight=2400, max_limit=1500),
)

WIRE = CandleWire(
    tuple(f"{family.root}/klines" for family in FAMILIES),
    lambda query: TIMEFRAMES[query["interval"]],
    lambda body: body,
    newest_first=False,
    times=(0, 6),
)

HOUSE_RULES = HouseRules(
    tuple(RequestWindow(family.max_weight, span_ms=MINUTE_MS, path=family.root) for family in FAMILIES),
    Ban(refusals=10, status=418, first_ms=2 * MINUTE_MS, longest_ms=3 * DAY_MS),
)


# As recorded: fundingTime is a few milliseconds late.
MAX_FUNDING, LATE_MS, USUAL_INTERVAL_MS = 1000, 3, 8 * HOUR_MS

# Endpoints of USD-M, and the price that they are about.
PRICE_KLINES = {"markPriceKlines": "mark", "indexPriceKlines": "index"}


class _BinanceError(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class BinanceProtocol:
    house_rules = HOUSE_RULES
    wire = WIRE

    def answer(self, market: PaperMarket, method: str, path: str, query: Query, now_ms: int) -> Answer:
        """Answer klines, exchangeInfo, time and ping; errors have HTTP 400."""
        family, endpoint = _family(path)
        if family is None or method != "GET":
            return html_answer(404, "404 Not Found")
        try:
            if endpoint == "klines" or (endpoint in PRICE_KLINES and family.kind == "linear"):
                return _klines(market, family, query, now_ms, PRICE_KLINES.get(endpoint))
            if endpoint in FUNDING and family.kind == "linear":
                return FUNDING[endpoint](market, query, now_ms)
            if endpoint == "exchangeInfo":
                return json_answer(_exchange_info(market, family, now_ms))
            if endpoint == "time":
                return json_answer({"serverTime": now_ms})
            return json_answer({}) if endpoint == "ping" else html_answer(404, "404 Not Found")
        except _BinanceError as error:
            return json_answer({"code": error.code, "msg": str(error)}, 400)

    def refusal(self, refused: PaperRefusal, now_ms: int) -> Answer:
        """429 and 418 have Retry-After; the firewall's 403 does not."""
        if refused.status not in (418, 429):
            return html_answer(refused.status, f"{refused.status} Forbidden")
        text = (
            "Too much request weight used; current limit is 2400 request weight per 1 MINUTE. "
            if refused.status == 429
            else f"Way too much request weight used; IP banned until {refused.until_ms}. "
        )
        body = {"code": -1003, "msg": text + "Please use the websocket for live updates to avoid bans."}
        retry_after_s = max(1, math.ceil((refused.until_ms - now_ms) / 1000))
        return json_answer(body, refused.status)._replace(headers={"Retry-After": str(retry_after_s)})

    def weight(self, path: str, query: Query) -> int:
        """The documented weight; futures klines weigh by ``limit``."""
        family, endpoint = _family(path)
        if family is None or endpoint not in ("klines", "exchangeInfo", *PRICE_KLINES):
            return 1
        if family.kind == "spot":
            return 2 if endpoint == "klines" else 20
        if endpoint == "exchangeInfo":
            return 1
        limit = whole_number(query.get("limit") or "") or DEFAULT_LIMIT
        return next((weight for below, weight in ((100, 1), (500, 2), (1001, 5)) if limit < below), 10)

    def usage_headers(self, path: str, used: int) -> Mapping[str, str]:
        """The used weight as ``X-MBX-USED-WEIGHT-1M``."""
        return {"X-MBX-USED-WEIGHT-1M": str(used)}


def _family(path: str) -> tuple[_Family | None, str]:
    root, _, endpoint = path.rpartition("/")
    return next((family for family in FAMILIES if family.root == root), None), endpoint


def _linear(market: PaperMarket) -> dict[str, PaperInstrument]:
    return spelled(market, lambda i: _symbol(i) if i.kind == "linear" else None)


def _funding_rates(market: PaperMarket, query: Query, now_ms: int) -> Answer:
    """Oldest first from ``startTime``, else the newest (Get Funding Rate History)."""
    symbol = query.get("symbol", "")
    instrument = _linear(market).get(symbol)
    if instrument is None:
        raise _BinanceError(-1121, "Invalid symbol.")
    start_ms, end_ms = whole_number(query.get("startTime") or ""), whole_number(query.get("endTime") or "")
    limit = min(whole_number(query.get("limit") or "") or 100, MAX_FUNDING)
    past_ms = min(now_ms, FOREVER_MS if end_ms is None else end_ms) + 1
    paid = market.funding(instrument.symbol, start_ms or 0, past_ms)
    paid = paid[-limit:] if start_ms is None else paid[:limit]
    rows = [
        {"symbol": symbol, "fundingTime": ms + LATE_MS, "fundingRate": f"{rate:.8f}", "markPrice": ""}
        for ms, rate in paid
    ]
    return json_answer(rows, symbol=instrument.symbol)


def _funding_info(market: PaperMarket, query: Query, now_ms: int) -> Answer:
    """Only contracts whose interval or caps were changed (Get Funding Rate Info)."""
    interval_ms = next(ms for since_ms, ms in reversed(market.funding_intervals) if since_ms <= now_ms)
    changed = list(_linear(market)) if interval_ms != USUAL_INTERVAL_MS else []
    hours = interval_ms // HOUR_MS
    return json_answer([{"symbol": symbol, "fundingIntervalHours": hours, "disclaimer": False} for symbol in changed])


FUNDING = {"fundingRate": _funding_rates, "fundingInfo": _funding_info}


def _klines(market: PaperMarket, family: _Family, query: Query, now_ms: int, price: str | None = None) -> Answer:
    symbol = query.get("pair" if price == "index" else "symbol")
    if not symbol:
        raise _BinanceError(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
    instrument = spelled(market, lambda i: _symbol(i) if i.kind == family.kind else None).get(symbol)
    if instrument is None:
        raise _BinanceError(-1121, "Invalid symbol.")
    interval = query.get("interval", "")
    if interval not in TIMEFRAMES:
        raise _BinanceError(-1120, "Invalid interval.")
    page_of = market.oldest if query.get("startTime") else market.newest
    candles = page_of(
        instrument.symbol,
        interval,
        start_ms=_whole_number(query, "startTime", 0),
        end_ms=_whole_number(query, "endTime", FOREVER_MS) + 1,
        limit=_limit(query, family),
        now_ms=now_ms,
    )
    if price:
        candles = prices_of(candles, price, instrument.tick_size)
        candles["base_volume"] = candles["quote_volume"] = 0
    return json_answer(_rows(candles, instrument, TIMEFRAMES[interval]), symbol=instrument.symbol)


def _limit(query: Query, family: _Family) -> int:
    """Spot cuts a limit to its maximum silently; futures refuse it."""
    limit = _whole_number(query, "limit", DEFAULT_LIMIT)
    if limit < 1 or (limit > family.max_limit and family.kind != "spot"):
        raise _BinanceError(-1130, "Data sent for parameter 'limit' is not valid.")
    return min(limit, family.max_limit)


def _rows(candles: Candles, instrument: PaperInstrument, bar: Timeframe) -> list[tuple[object, ...]]:
    """Twelve columns: open time, o, h, l, c, coins, close time, quote volume, trades, bought coins and quote, "0".

    Inverse: contracts instead of coins, coins instead of quote volume.
    """
    is_spot = instrument.kind == "spot"
    price_decimals = max(8 if is_spot else 2, decimals_of(instrument.tick_size))
    prices = [fixed_decimals(candles[name], price_decimals) for name in ("open", "high", "low", "close")]
    coins, quote = candles["base_volume"], candles["quote_volume"]
    volume, turnover = (in_contracts(candles, instrument), coins) if instrument.kind == "inverse" else (coins, quote)
    volume_decimals = max(8 if is_spot else 0, decimals_of(instrument.lot_size))
    turnover_decimals = 5 if instrument.kind == "linear" else 8
    trades = np.where(coins > 0, 1 + np.nan_to_num(quote) // TRADE_SIZE, 0).astype(np.int64)
    opens_ms: Sequence[int] = candles["open_ms"].tolist()
    return list(
        zip(
            opens_ms,
            *prices,
            fixed_decimals(volume, volume_decimals),
            [open_ms + bar.step_ms - 1 for open_ms in opens_ms],
            fixed_decimals(turnover, turnover_decimals),
            trades.tolist(),
            fixed_decimals(volume / 2, volume_decimals),
            fixed_decimals(turnover / 2, turnover_decimals),
            ["0"] * len(candles),
            strict=True,
        )
    )


def _symbol(instrument: PaperInstrument) -> str:
    """``BTCUSDT`` in the spot and USD-M APIs, ``BTCUSD_PERP`` in COIN-M."""
    return instrument.base + instrument.quote + ("_PERP" if instrument.kind == "inverse" else "")


def _exchange_info(market: PaperMarket, family: _Family, now_ms: int) -> dict[str, object]:
    limit = {
        "rateLimitType": "REQUEST_WEIGHT",
        "interval": "MINUTE",
        "intervalNum": 1,
        "limit": family.max_weight,
    }
    fields_of = _spot_fields if family.kind == "spot" else _perpetual_fields
    return {
        "timezone": "UTC",
        "serverTime": now_ms,
        "rateLimits": [limit],
        "exchangeFilters": [],
        "symbols": [fields_of(i) for i in market.instruments if i.kind == family.kind],
    }


def _spot_fields(instrument: PaperInstrument) -> dict[str, object]:
    return {
        "symbol": _symbol(instrument),
        "status": "TRADING",
        "baseAsset": instrument.base,
        "baseAssetPrecision": 8,
        "quoteAsset": instrument.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": _filters(instrument),
        "permissions": [],
    }


def _perpetual_fields(instrument: PaperInstrument) -> dict[str, object]:
    is_inverse = instrument.kind == "inverse"
    fields: dict[str, object] = {
        "symbol": _symbol(instrument),
        "pair": instrument.base + instrument.quote,
        "contractType": "PERPETUAL",
        "deliveryDate": PERPETUAL_DELIVERS_MS,
        "onboardDate": instrument.listed_ms,
        "contractStatus" if is_inverse else "status": "TRADING",
        "baseAsset": instrument.base,
        "quoteAsset": instrument.quote,
        "marginAsset": instrument.settle,
        "pricePrecision": decimals_of(instrument.tick_size),
        "quantityPrecision": decimals_of(instrument.lot_size),
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "orderTypes": ["LIMIT", "MARKET", "STOP"],
        "filters": _filters(instrument),
    }
    return {**fields, "contractSize": int(instrument.contract_value)} if is_inverse else fields


def _filters(instrument: PaperInstrument) -> list[dict[str, str]]:
    tick, lot = f"{instrument.tick_size:f}", f"{instrument.lot_size:f}"
    return [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000", "tickSize": tick},
        {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": "1000000000", "stepSize": lot},
    ]


def _whole_number(query: Query, name: str, default: int) -> int:
    text = query.get(name)
    if not text:
        return default
    number = whole_number(text)
    if number is None:
        raise _BinanceError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")
    return number
