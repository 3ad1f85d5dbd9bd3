"""OKX's public REST API v5: candles, their history, instruments, time.

After OKX's documentation (Get candlesticks, Get candlesticks history, Get instruments, Get system time) and recorded
answers. ``candles`` holds the newest 1440 bars, the running one included; ``history-candles`` all ended ones. A larger
``limit`` than the page is cut silently (not verified, nor is the errors' HTTP status). Rate limits are by path, without
suspension.

Plain bars from 6H on open at midnight UTC+8 (Hong Kong), those ending in ``utc`` on UTC. Mark and index prices have
pages of 100 rows of six columns; an index is requested by the pair, without -SWAP. Not served: bars of 1s, 2D, 3D and
months.
"""

from __future__ import annotations

from collections.abc import Sequence

from backfill.domain.timeframes import HOUR_MS, TIMEFRAMES, Timeframe
from backfill.errors import UnknownSymbol
from backfill.paper.bars import grouped
from backfill.paper.limits import HouseRules, PaperRefusal, RequestWindow
from backfill.paper.market import Candles, Kind, PaperInstrument, PaperMarket, prices_of
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

CANDLES, HISTORY = "/api/v5/market/candles", "/api/v5/market/history-candles"
INSTRUMENTS, TIME = "/api/v5/public/instruments", "/api/v5/public/time"
DEFAULT_LIMIT, MAX_LIMIT = 100, 300
RECENT_BARS = 1440
# Recent candles and history of each price.
PRICE_PATHS = {
    f"/api/v5/market/{history}{words}": (price, HISTORY if history else CANDLES)
    for price, words in (("mark", "mark-price-candles"), ("index", "index-candles"))
    for history in ("", "history-")
}
MAX_PRICE_ROWS = 100
FUNDING, MAX_FUNDING = "/api/v5/public/funding-rate-history", 100
HONG_KONG_MS = 8 * HOUR_MS

UTC_BARS = {name if name.endswith("m") else name.upper(): bar for name, bar in TIMEFRAMES.items() if name != "8h"}
LONG_BARS = {name: UTC_BARS.pop(name) for name in ("6H", "12H", "1D", "1W")}
UTC_BARS |= {f"{name}utc": bar for name, bar in LONG_BARS.items()}
HONG_KONG_BARS = {
    name: Timeframe(name, bar.step_ms, (bar.anchor_ms - HONG_KONG_MS) % bar.step_ms) for name, bar in LONG_BARS.items()
}

WIRE = CandleWire(
    (CANDLES, HISTORY), lambda query: (UTC_BARS | HONG_KONG_BARS)[query.get("bar") or "1m"], lambda body: body["data"]
)

HOUSE_RULES = HouseRules(
    (
        RequestWindow(40, span_ms=2000, path=CANDLES),
        RequestWindow(20, span_ms=2000, path=HISTORY),
        RequestWindow(20, span_ms=2000, path=INSTRUMENTS),
        *(RequestWindow(20, span_ms=2000, path=path) for path in PRICE_PATHS),
        RequestWindow(10, span_ms=2000, path=TIME),
    )
)

KINDS: dict[str, tuple[Kind, ...]] = {"SPOT": ("spot",), "SWAP": ("linear", "inverse"), "FUTURES": (), "OPTION": ()}

# Announced, not yet tradable, as in ccxt issues #25762 and #25904: fields that others have are empty.
PREOPEN: dict[str, dict[str, str]] = {
    "SPOT": {"instId": "HALFLISTED", "instType": "SPOT", "state": "preopen", "baseCcy": "", "quoteCcy": ""},
    "SWAP": {"instId": "ETH-USD_UM-SWAP", "instType": "SWAP", "state": "preopen"},
    "FUTURES": {"instId": "BTC-USD_UM-991231", "instType": "FUTURES", "state": "preopen", "uly": "", "expTime": ""},
    "OPTION": {
        "instId": "BTC-USD-991231-1-C",
        "instType": "OPTION",
        "state": "preopen",
        "uly": "BTC-USD",
        "settleCcy": "BTC",
        "expTime": "4102358400000",
        "stk": "",
        "optType": "",
    },
}


class _OkxError(Exception):
    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class OkxProtocol(PlainRequests):
    """``preopen`` adds half-announced instruments of every type: ccxt 4.5.90 raises TypeError at the option, older
    releases at the spot pair. ``history_limit`` was 100 until August 2025 (ccxt #26705).
    """

    house_rules = HOUSE_RULES
    wire = WIRE

    def __init__(self, *, preopen: bool = False, history_limit: int = MAX_LIMIT) -> None:
        self.preopen = preopen
        self.history_limit = history_limit

    def answer(self, market: PaperMarket, method: str, path: str, query: Query, now_ms: int) -> Answer:
        """Answer candles, history, instruments and time, with OKX's error codes."""
        if method != "GET" or path not in (CANDLES, HISTORY, INSTRUMENTS, TIME, FUNDING, *PRICE_PATHS):
            return html_answer(404, "404 Not Found")
        try:
            if path == TIME:
                return _success([{"ts": str(now_ms)}])
            if path == INSTRUMENTS:
                return _success(self._instruments(market, query))
            if path == FUNDING:
                return _success(_funding(market, query, now_ms))
            return self._candles(market, path, query, now_ms)
        except UnknownSymbol:
            return _failure(_OkxError("51001", "Instrument ID, Instrument ID code, or Spread ID doesn't exist.", 200))
        except _OkxError as error:
            return _failure(error)

    def refusal(self, refused: PaperRefusal, now_ms: int) -> Answer:
        """429 is JSON with code 50011; other statuses are HTML."""
        if refused.status == 429:
            return json_answer({"msg": "Too Many Requests", "code": "50011"}, 429)
        return html_answer(refused.status, f"{refused.status} Forbidden")

    def _candles(self, market: PaperMarket, path: str, query: Query, now_ms: int) -> Answer:
        """Newest first; ``after`` is the exclusive upper bound, ``before`` the exclusive lower one.

        ``before`` alone gives the latest page, not the one next to it.
        """
        price, path = PRICE_PATHS.get(path, (None, path))
        inst_id = _required(query, "instId")
        instrument = market.instrument(inst_id if price == "index" else _symbol(inst_id))
        name = query.get("bar") or "1m"
        bar = UTC_BARS.get(name) or HONG_KONG_BARS.get(name)
        if bar is None:
            raise _OkxError("51000", "Parameter bar error")
        start_ms = _whole_number(query, "before", -1) + 1
        end_ms = min(_whole_number(query, "after", FOREVER_MS), now_ms + 1)
        limit = _whole_number(query, "limit", DEFAULT_LIMIT)
        if limit < 1:
            raise _OkxError("51000", "Parameter limit error")
        if price:
            limit = min(limit, MAX_PRICE_ROWS)
        if path == HISTORY:
            end_ms = min(end_ms, bar.floor(now_ms))
            limit = min(limit, self.history_limit)
        else:
            start_ms = max(start_ms, bar.floor(now_ms) - (RECENT_BARS - 1) * bar.step_ms)
            limit = min(limit, MAX_LIMIT)
        if name in HONG_KONG_BARS:
            page = _regrouped(market, instrument, bar, start_ms, end_ms, limit, now_ms)
        else:
            page = market.newest(instrument.symbol, bar.name, start_ms, end_ms, limit, now_ms)
        if price:
            rows = _rows(prices_of(page[::-1], price, instrument.tick_size), instrument, bar.step_ms, now_ms)
            return _success([(*row[:5], row[-1]) for row in rows], instrument.symbol)
        return _success(_rows(page[::-1], instrument, bar.step_ms, now_ms), instrument.symbol)

    def _instruments(self, market: PaperMarket, query: Query) -> list[dict[str, str]]:
        wanted = _required(query, "instType")
        if wanted not in KINDS:
            raise _OkxError("51000", "Parameter instType error")
        listed = [_instrument_fields(i) for i in market.instruments if i.kind in KINDS[wanted]]
        if self.preopen:
            listed.append(PREOPEN[wanted])
        inst_id = query.get("instId")
        return [fields for fields in listed if inst_id in (None, "", fields["instId"])]


def _funding(market: PaperMarket, query: Query, now_ms: int) -> list[dict[str, str]]:
    """Newest first, before ``after`` (Get funding rate history)."""
    inst_id = _required(query, "instId")
    end_ms = min(_whole_number(query, "after", FOREVER_MS), now_ms + 1)
    limit = min(_whole_number(query, "limit", MAX_FUNDING), MAX_FUNDING)
    return [
        {"instId": inst_id, "instType": "SWAP", "fundingTime": str(ms), "fundingRate": text, "realizedRate": text}
        for ms, rate in market.funding(_symbol(inst_id), 0, end_ms)[::-1][:limit]
        for text in [f"{rate:.6f}"]
    ]


def _symbol(inst_id: str) -> str:
    return inst_id.removesuffix("-SWAP") if inst_id.endswith("-SWAP") else f"{inst_id}-SPOT"


def _inst_id(instrument: PaperInstrument) -> str:
    return instrument.symbol.removesuffix("-SPOT") if instrument.kind == "spot" else f"{instrument.symbol}-SWAP"


def _regrouped(
    market: PaperMarket,
    instrument: PaperInstrument,
    bar: Timeframe,
    start_ms: int,
    end_ms: int,
    limit: int,
    now_ms: int,
) -> Candles:
    """The newest bars on a grid other than UTC's, from the market's hours, assuming none is missing."""
    end_ms = bar.ceil(end_ms)
    start_ms = max(bar.ceil(start_ms), end_ms - limit * bar.step_ms)
    return grouped(market.candles(instrument.symbol, "1h", start_ms, end_ms, now_ms), bar, instrument)


def _rows(candles: Candles, instrument: PaperInstrument, step_ms: int, now_ms: int) -> list[tuple[str, ...]]:
    """Nine columns: ts, o, h, l, c, contracts, coins, quote volume (spot: coins, quote, quote), confirm."""
    quote = candles["quote_volume"]
    second = quote if instrument.kind == "spot" else candles["base_volume"]
    columns = [candles[name] for name in ("open", "high", "low", "close")]
    columns += [in_contracts(candles, instrument), second, quote]
    opens_ms: Sequence[int] = candles["open_ms"].tolist()
    confirm = ["1" if open_ms + step_ms <= now_ms else "0" for open_ms in opens_ms]
    return list(zip(map(str, opens_ms), *map(plain_decimals, columns), confirm, strict=True))


def _instrument_fields(instrument: PaperInstrument) -> dict[str, str]:
    is_spot, is_linear = instrument.kind == "spot", instrument.kind == "linear"
    family = "" if is_spot else f"{instrument.base}-{instrument.quote}"
    return {
        "alias": "",
        "baseCcy": instrument.base if is_spot else "",
        "category": "1",
        "ctMult": "" if is_spot else "1",
        "ctType": "" if is_spot else instrument.kind,
        "ctVal": "" if is_spot else f"{instrument.contract_value:f}",
        "ctValCcy": "" if is_spot else instrument.base if is_linear else instrument.quote,
        "expTime": "",
        "instFamily": family,
        "instId": _inst_id(instrument),
        "instType": "SPOT" if is_spot else "SWAP",
        "lever": str(10 if is_spot else instrument.max_leverage),
        "listTime": str(instrument.listed_ms),
        "lotSz": f"{instrument.lot_size:f}",
        "maxLmtSz": "100000000",
        "maxMktSz": "1000000",
        "minSz": f"{instrument.lot_size:f}",
        "optType": "",
        "quoteCcy": instrument.quote if is_spot else "",
        "settleCcy": "" if is_spot else instrument.settle,
        "state": "live",
        "stk": "",
        "tickSz": f"{instrument.tick_size:f}",
        "uly": family,
    }


def _success(data: object, symbol: str | None = None) -> Answer:
    return json_answer({"code": "0", "msg": "", "data": data}, symbol=symbol)


def _failure(error: _OkxError) -> Answer:
    return json_answer({"code": error.code, "data": [], "msg": str(error)}, error.status)


def _required(query: Query, name: str) -> str:
    value = query.get(name)
    if not value:
        raise _OkxError("50014", f"Parameter {name} can not be empty.")
    return value


def _whole_number(query: Query, name: str, default: int) -> int:
    text = query.get(name)
    if not text:
        return default
    number = whole_number(text)
    if number is None:
        raise _OkxError("51000", f"Parameter {name} error")
    return number
