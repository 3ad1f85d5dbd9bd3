"""Kraken's public REST API: OHLC, pairs, assets, time, status. Spot pairs only.

After Kraken's documentation (Get OHLC Data, Get Tradable Asset Pairs, Get Asset Info, rate limits) and recorded
answers. OHLC gives the newest 720 ended bars and the running one; ``since`` is exclusive and cannot reach further back.
Minutes without trades are flat bars. Every answer has status 200 and a list of errors. Kraken limits OHLC by address
and pair, about one a second; here it is 15 in any 15 seconds by address. (Weeks from Monday: not verified.)

Not served: bars of 15 days, ticks and trades, the only way to older prices.
"""

from __future__ import annotations

import math
from datetime import datetime, timezone

import numpy as np

from backfill.domain.timeframes import MINUTE_MS, TIMEFRAMES, Timeframe
from backfill.paper.limits import HouseRules, PaperRefusal, RequestWindow
from backfill.paper.market import CANDLE, NO_CANDLES, Candles, PaperInstrument, PaperMarket
from backfill.paper.protocol import (
    Answer,
    CandleWire,
    PlainRequests,
    Query,
    decimals_of,
    fixed_decimals,
    html_answer,
    json_answer,
    spelled,
)

ROOT = "/0/public/"
KEPT_BARS = 720
TRADE_SIZE = 1_000  # in quote currency; trade counts are made up from the turnover

INTERVALS = {
    str(TIMEFRAMES[name].step_ms // MINUTE_MS): TIMEFRAMES[name]
    for name in ("1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w")
}

ALTERNATIVE_NAMES = {"BTC": "XBT", "DOGE": "XDG"}
ASSETS = {"BTC": "XXBT", "ETH": "XETH", "XRP": "XXRP", "LTC": "XLTC", "DOGE": "XXDG", "USD": "ZUSD"}
OLD_DOLLAR_PAIRS = {coin: f"{ASSETS[coin]}ZUSD" for coin in ("BTC", "ETH", "XRP", "LTC")}

WIRE = CandleWire(
    (f"{ROOT}OHLC",),
    lambda query: INTERVALS[query.get("interval") or "1"],
    lambda body: next(value for value in body["result"].values() if isinstance(value, list)),
    newest_first=False,
    numbers=(1, 2, 3, 4, 6),
    unit_ms=1000,
    has_cursor=False,
)

HOUSE_RULES = HouseRules((RequestWindow(15, span_ms=15_000),))


class _KrakenError(Exception):
    pass


class KrakenProtocol(PlainRequests):
    house_rules = HOUSE_RULES
    wire = WIRE

    def answer(self, market: PaperMarket, method: str, path: str, query: Query, now_ms: int) -> Answer:
        """Answer OHLC, AssetPairs, Assets, Time, SystemStatus; errors have status 200."""
        endpoint = path.removeprefix(ROOT)
        try:
            if endpoint == "OHLC":
                return _ohlc(market, query, now_ms)
            if endpoint == "AssetPairs":
                return _success({_pair(i): _pair_fields(i) for i in market.instruments if i.kind == "spot"})
            if endpoint == "Assets":
                return _success(_assets(market))
            if endpoint == "Time":
                return _success({"unixtime": now_ms // 1000, "rfc1123": f"{_utc(now_ms):%a, %d %b %y %H:%M:%S +0000}"})
            if endpoint == "SystemStatus":
                return _success({"status": "online", "timestamp": f"{_utc(now_ms):%Y-%m-%dT%H:%M:%SZ}"})
        except _KrakenError as error:
            return json_answer({"error": [str(error)]})
        return json_answer({"error": ["EGeneral:Unknown method"]})

    def refusal(self, refused: PaperRefusal, now_ms: int) -> Answer:
        """429 becomes status 200 and an error."""
        if refused.status == 429:
            return json_answer({"error": ["EGeneral:Too many requests"]})
        return html_answer(refused.status, f"{refused.status} Forbidden")


def _ohlc(market: PaperMarket, query: Query, now_ms: int) -> Answer:
    """Oldest first; ``last`` is the newest ended bar, to be sent as the next ``since``."""
    asked = query.get("pair", "")
    listed = spelled(market, lambda i: _pair(i) if i.kind == "spot" else None)
    listed |= spelled(market, lambda i: _altname(i) if i.kind == "spot" else None)
    instrument = listed.get(asked)
    if instrument is None:
        raise _KrakenError("EQuery:Unknown asset pair" if asked else "EGeneral:Invalid arguments")
    bar = INTERVALS.get(query.get("interval") or "1")
    if bar is None:
        raise _KrakenError("EGeneral:Invalid arguments:interval")
    since_s = _seconds(query.get("since") or "0")
    candles = _newest(market, instrument, bar, now_ms)
    ended = candles["open_ms"][candles["open_ms"] + bar.step_ms <= now_ms]
    newer = candles[candles["open_ms"] > 1000 * since_s]
    last = int(ended[-1]) // 1000 if len(ended) else int(since_s)
    return _success({_pair(instrument): _rows(newer, instrument), "last": last}, instrument.symbol)


def _newest(market: PaperMarket, instrument: PaperInstrument, bar: Timeframe, now_ms: int) -> Candles:
    """The newest 720 ended bars and the running one, flat without trades.

    A market that does not show running bars counts as stopped at its last bar.
    """
    end_ms = now_ms + 1
    newest = market.newest(instrument.symbol, bar.name, 0, end_ms, 1, now_ms)
    if not len(newest):
        return NO_CANDLES
    last_ms = bar.floor(now_ms) if market.shows_running_bars else int(newest["open_ms"][-1])
    first_ms = last_ms - KEPT_BARS * bar.step_ms
    before = market.newest(instrument.symbol, bar.name, 0, first_ms, 1, now_ms)
    known = np.concatenate([before, market.candles(instrument.symbol, bar.name, first_ms, end_ms, now_ms)])
    if len(before) == 0:
        first_ms = int(known["open_ms"][0])
    opens_ms = np.arange(first_ms, last_ms + 1, bar.step_ms)
    latest = known[np.searchsorted(known["open_ms"], opens_ms, side="right") - 1]
    traded = latest["open_ms"] == opens_ms
    bars = np.zeros(len(opens_ms), dtype=CANDLE)
    bars[traded] = latest[traded]
    bars["open_ms"] = opens_ms
    for column in ("open", "high", "low", "close"):
        bars[column][~traded] = latest["close"][~traded]
    return bars


def _rows(candles: Candles, instrument: PaperInstrument) -> list[tuple[object, ...]]:
    """Eight columns: seconds, o, h, l, c, average price, coins, trades."""
    decimals = decimals_of(instrument.tick_size)
    coins, quote = candles["base_volume"], candles["quote_volume"]
    average = np.divide(quote, coins, out=np.zeros(len(candles)), where=coins > 0)
    average = np.where(np.isnan(average), candles["close"], average)
    trades = np.where(coins > 0, 1 + np.nan_to_num(quote) // TRADE_SIZE, 0).astype(np.int64)
    prices = [fixed_decimals(candles[name], decimals) for name in ("open", "high", "low", "close")]
    return list(
        zip(
            (candles["open_ms"] // 1000).tolist(),
            *prices,
            fixed_decimals(average, decimals),
            fixed_decimals(coins, 8),
            trades.tolist(),
            strict=True,
        )
    )


def _asset(currency: str) -> str:
    return ASSETS.get(currency, currency)


def _altname(instrument: PaperInstrument) -> str:
    """``XBTUSDT``, ``XBTUSD``, ``XDGUSDT``, ``SOLUSDT``."""
    return ALTERNATIVE_NAMES.get(instrument.base, instrument.base) + instrument.quote


def _pair(instrument: PaperInstrument) -> str:
    """Kraken's first name of a pair; its oldest differ from :func:`_altname`: ``XXBTZUSD``."""
    if instrument.quote == "USD":
        return OLD_DOLLAR_PAIRS.get(instrument.base, _altname(instrument))
    return _altname(instrument)


def _pair_fields(instrument: PaperInstrument) -> dict[str, object]:
    return {
        "altname": _altname(instrument),
        "wsname": f"{ALTERNATIVE_NAMES.get(instrument.base, instrument.base)}/{instrument.quote}",
        "aclass_base": "currency",
        "base": _asset(instrument.base),
        "aclass_quote": "currency",
        "quote": _asset(instrument.quote),
        "lot": "unit",
        "pair_decimals": decimals_of(instrument.tick_size),
        "lot_decimals": 8,
        "lot_multiplier": 1,
        "leverage_buy": [],
        "leverage_sell": [],
        "fees": [[0, 0.4]],
        "fees_maker": [[0, 0.25]],
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": f"{instrument.lot_size:f}",
        "costmin": "0.5",
        "tick_size": f"{instrument.tick_size:f}",
        "status": "online",
    }


def _assets(market: PaperMarket) -> dict[str, object]:
    currencies = {currency for i in market.instruments if i.kind == "spot" for currency in (i.base, i.quote)}
    return {
        _asset(currency): {
            "aclass": "currency",
            "altname": ALTERNATIVE_NAMES.get(currency, currency),
            "decimals": 10,
            "display_decimals": 5,
            "status": "enabled",
        }
        for currency in sorted(currencies)
    }


def _success(result: object, symbol: str | None = None) -> Answer:
    return json_answer({"error": [], "result": result}, symbol=symbol)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise _KrakenError("EGeneral:Invalid arguments:since") from None
    if not math.isfinite(seconds):
        raise _KrakenError("EGeneral:Invalid arguments:since")
    return seconds


def _utc(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, tz=timezone.utc)
