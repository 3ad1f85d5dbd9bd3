"""Blofin's public REST API: candles and instruments.

After Blofin's documentation (index.md at e3600b7: Get Candlesticks, Get Instruments, Rate Limits) and its error table:
every error but the rate limit's has HTTP 200 and a ``code`` other than "0", unknown paths included.

Index and mark price candles have six columns (Get Index Candlesticks, Get Mark Price Candlesticks). Not served: bars
``3D`` and ``1M`` (their grids are not documented), which are bad parameters here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from backfill.domain.timeframes import MINUTE_MS, TIMEFRAMES, Timeframe, timeframe
from backfill.errors import UnknownSymbol
from backfill.paper.limits import HouseRules, PaperRefusal, RequestWindow
from backfill.paper.market import Candles, PaperInstrument, PaperMarket, prices_of
from backfill.paper.protocol import (
    FOREVER_MS,
    Answer,
    CandleWire,
    PlainRequests,
    Query,
    html_answer,
    in_contracts,
    json_answer,
    plain_decimals,
    whole_number,
)

DEFAULT_LIMIT, MAX_LIMIT = 500, 1440
EXPIRES_MS = 4_918_462_709_025  # a perpetual's, as Blofin gives it for BTC-USDT

# Hours, days and weeks have a capital: 1H, 12H, 1D, 1W.
BARS = {name if name.endswith("m") else name.upper(): name for name in TIMEFRAMES}

HOUSE_RULES = HouseRules(
    (
        RequestWindow(500, span_ms=MINUTE_MS, suspension_ms=5 * MINUTE_MS),
        RequestWindow(1500, span_ms=5 * MINUTE_MS, suspension_ms=60 * MINUTE_MS),
    )
)


CANDLES = "/api/v1/market/candles"
MARK, INDEX = "/api/v1/market/mark-price-candles", "/api/v1/market/index-candles"
FUNDING, MAX_FUNDING = "/api/v1/market/funding-rate-history", 100
WIRE = CandleWire((CANDLES,), lambda query: timeframe(BARS[query.get("bar") or "1m"]), lambda body: body["data"])


class _BlofinError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class BlofinProtocol(PlainRequests):
    house_rules = HOUSE_RULES
    wire = WIRE

    def answer(self, market: PaperMarket, method: str, path: str, query: Query, now_ms: int) -> Answer:
        """Answer candles and instruments; errors have HTTP 200 and a ``code``."""
        data_of = _ROUTES.get(path)
        if data_of is None:
            return _failure("404", "not found")
        if method != "GET":
            return _failure("405", "Method Not Allowed")
        try:
            return _success(data_of(market, query, now_ms), query.get("instId") or None)
        except UnknownSymbol:
            return _failure("152014", "Instrument ID does not exist")
        except _BlofinError as error:
            return _failure(error.code, str(error))

    def refusal(self, refused: PaperRefusal, now_ms: int) -> Answer:
        """429 as documented; the firewall's 403 never reaches the API, so it is HTML."""
        if refused.status == 429:
            return _failure("429", "Too Many Requests", status=429)
        return html_answer(refused.status, f"{refused.status} Forbidden")


def _success(data: object, symbol: str | None) -> Answer:
    return json_answer({"code": "0", "msg": "success", "data": data}, symbol=symbol)


def _failure(code: str, message: str, status: int = 200) -> Answer:
    return json_answer({"code": code, "msg": message}, status)


def _candles(market: PaperMarket, query: Query, now_ms: int) -> list[tuple[str, ...]]:
    """Newest first; ``after`` is the exclusive upper bound, ``before`` the exclusive lower one.

    ``before`` alone gives the latest page, not the one next to it.
    """
    page, instrument, bar = _page(market, query, now_ms)
    return _rows(page, instrument, bar.step_ms, now_ms)


def _price_candles(kind: str) -> Callable[[PaperMarket, Query, int], object]:
    """Mark or index prices: ts, open, high, low, close, confirm."""

    def candles(market: PaperMarket, query: Query, now_ms: int) -> list[tuple[str, ...]]:
        page, instrument, bar = _page(market, query, now_ms)
        rows = _rows(prices_of(page, kind, instrument.tick_size), instrument, bar.step_ms, now_ms)
        return [(*row[:5], row[-1]) for row in rows]

    return candles


def _funding(market: PaperMarket, query: Query, now_ms: int) -> list[dict[str, str]]:
    """Newest first, before ``after`` (Get Funding Rate History)."""
    instrument = market.instrument(_required(query, "instId"))
    end_ms = min(_whole_number(query, "after", FOREVER_MS), now_ms + 1)
    paid = market.funding(instrument.symbol, 0, end_ms)[::-1][: _whole_number(query, "limit", MAX_FUNDING)]
    return [{"instId": instrument.symbol, "fundingRate": f"{rate:.6f}", "fundingTime": str(ms)} for ms, rate in paid]


def _page(market: PaperMarket, query: Query, now_ms: int) -> tuple[Candles, PaperInstrument, Timeframe]:
    instrument = market.instrument(_required(query, "instId"))
    bar = query.get("bar") or "1m"
    if bar not in BARS:
        raise _BlofinError("152002", "Parameter bar error.")
    limit = _whole_number(query, "limit", DEFAULT_LIMIT)
    if not 1 <= limit <= MAX_LIMIT:
        raise _BlofinError("152002", "Parameter limit error.")
    page = market.newest(
        instrument.symbol,
        BARS[bar],
        start_ms=_whole_number(query, "before", -1) + 1,
        end_ms=_whole_number(query, "after", FOREVER_MS),
        limit=limit,
        now_ms=now_ms,
    )
    return page[::-1], instrument, timeframe(BARS[bar])


def _rows(candles: Candles, instrument: PaperInstrument, step_ms: int, now_ms: int) -> list[tuple[str, ...]]:
    """Nine columns: ts, open, high, low, close, contracts, coins, quote volume, confirm.

    An unknown quote volume is the empty string. (Blofin always has one.)
    """
    prices = [plain_decimals(candles[name]) for name in ("open", "high", "low", "close")]
    traded = (in_contracts(candles, instrument), candles["base_volume"], candles["quote_volume"])
    volumes = [plain_decimals(column) for column in traded]
    opens_ms = candles["open_ms"].tolist()
    confirm = ["1" if open_ms + step_ms <= now_ms else "0" for open_ms in opens_ms]
    return list(zip(map(str, opens_ms), *prices, *volumes, confirm, strict=True))


def _instruments(market: PaperMarket, query: Query, now_ms: int) -> list[dict[str, str]]:
    """All instruments, or ``instId``; unknown ones get the candles' error (not documented)."""
    symbol = query.get("instId")
    listed: Sequence[PaperInstrument] = [market.instrument(symbol)] if symbol else market.instruments
    return [_instrument_fields(instrument) for instrument in listed]


def _instrument_fields(instrument: PaperInstrument) -> dict[str, str]:
    return {
        "instId": instrument.symbol,
        "baseCurrency": instrument.base,
        "quoteCurrency": instrument.quote,
        "contractValue": _decimal(instrument.contract_value),
        "listTime": str(instrument.listed_ms),
        "expireTime": str(EXPIRES_MS),
        "maxLeverage": str(instrument.max_leverage),
        "minSize": _decimal(instrument.lot_size),
        "lotSize": _decimal(instrument.lot_size),
        "tickSize": _decimal(instrument.tick_size),
        "instType": "SWAP",
        "contractType": "linear",
        "maxLimitSize": "1000000",
        "maxMarketSize": "100000",
        "state": "live",
        "settleCurrency": instrument.quote,
    }


def _decimal(value: Decimal) -> str:
    return f"{value:f}"


def _required(query: Query, name: str) -> str:
    value = query.get(name)
    if not value:
        raise _BlofinError("152001", f"Parameter {name} cannot be empty.")
    return value


def _whole_number(query: Query, name: str, default: int) -> int:
    """A whole-number parameter; empty counts as absent."""
    text = query.get(name)
    if not text:
        return default
    number = whole_number(text)
    if number is None:
        raise _BlofinError("152002", f"Parameter {name} error.")
    return number


_ROUTES: dict[str, Callable[[PaperMarket, Query, int], object]] = {
    CANDLES: _candles,
    FUNDING: _funding,
    MARK: _price_candles("mark"),
    INDEX: _price_candles("index"),
    "/api/v1/market/instruments": _instruments,
}
