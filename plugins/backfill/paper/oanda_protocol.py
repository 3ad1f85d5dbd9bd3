"""OANDA's v20 REST API: candles of instruments.

After developer.oanda.com/rest-live-v20 (instrument-ep, instrument-df, development-guide). A page is ``count`` candles
from ``from`` on, or all from ``from`` to ``to``; more than 5000 are refused, and so is a time in the future (texts as
quoted by ccxt and others). Times are RFC 3339 with nanoseconds. Bid and ask lie a step beside mid.

Days and weeks are served on the UTC grid only: other alignments are refused. ``to`` is inclusive; not verified.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from backfill.domain.timeframes import TIMEFRAMES, Timeframe
from backfill.errors import UnknownSymbol
from backfill.paper.limits import HouseRules, PaperRefusal, RequestWindow
from backfill.paper.market import Candles, PaperInstrument, PaperMarket
from backfill.paper.protocol import (
    Answer,
    CandleWire,
    Cells,
    PlainRequests,
    Query,
    decimals_of,
    html_answer,
    json_answer,
    whole_number,
)

ROOT, CANDLES = "/v3/instruments/", "/candles"
MAX_COUNT, DEFAULT_COUNT = 5000, 500
BARS = {
    **{f"M{minutes}": TIMEFRAMES[f"{minutes}m"] for minutes in (1, 5, 15, 30)},
    **{f"H{hours}": TIMEFRAMES[f"{hours}h"] for hours in (1, 2, 4, 6, 8, 12)},
    "D": TIMEFRAMES["1d"],
    "W": TIMEFRAMES["1w"],
}
SIDES = {"M": ("mid", 0), "B": ("bid", -1), "A": ("ask", 1)}  # steps beside mid
ALIGNMENT = {"dailyAlignment": "0", "alignmentTimezone": "UTC", "weeklyAlignment": "Monday"}

HOUSE_RULES = HouseRules((RequestWindow(120, span_ms=1000),))


def _flat(body: Any) -> list[Cells]:
    """Candles of one price as rows: time in ms, o, h, l, c, volume, complete."""
    (side,) = {"mid", "bid", "ask"}.intersection(*body["candles"][:1]) or {"mid"}
    return [
        [_ms(row["time"]), *(row[side][name] for name in "ohlc"), row["volume"], row["complete"], side]
        for row in body["candles"]
    ]


def _put(body: Any, rows: list[Cells]) -> None:
    body["candles"] = [
        {
            "complete": complete,
            "volume": volume,
            "time": _text(ms),
            side: dict(zip("ohlc", prices, strict=True)),
        }
        for ms, *prices, volume, complete, side in rows
    ]


WIRE = CandleWire(
    (f"{ROOT}*",),
    lambda query: BARS[query.get("granularity", "")],
    _flat,
    newest_first=False,
    put_rows=_put,
)


class _OandaError(Exception):
    pass


class OandaProtocol(PlainRequests):
    """See :class:`backfill.paper.protocol.ExchangeProtocol`. Served to the bearer of ``token``."""

    house_rules = HOUSE_RULES
    wire = WIRE

    def __init__(self, token: str = "paper-token") -> None:  # noqa: S107
        self.token = token

    def key_refusal(self, headers: Query, query: Query) -> Answer | None:
        """401 without the token."""
        if headers.get("authorization") == f"Bearer {self.token}":
            return None
        return json_answer({"errorMessage": "Insufficient authorization to perform request."}, 401)

    def answer(self, market: PaperMarket, method: str, path: str, query: Query, now_ms: int) -> Answer:
        """Answer the candles of an instrument."""
        if method != "GET" or not (path.startswith(ROOT) and path.endswith(CANDLES)):
            return html_answer(404, "404 Not Found")
        try:
            return _candles(market, path[len(ROOT) : -len(CANDLES)], query, now_ms)
        except UnknownSymbol:
            return json_answer({"errorMessage": "Invalid value specified for 'instrument'"}, 400)
        except _OandaError as error:
            return json_answer({"errorMessage": str(error)}, 400)

    def refusal(self, refused: PaperRefusal, now_ms: int) -> Answer:
        """429 is JSON; other statuses are HTML."""
        if refused.status == 429:
            return json_answer({"errorMessage": "Rate limit exceeded"}, 429)
        return html_answer(refused.status, f"{refused.status} Forbidden")


def _candles(market: PaperMarket, symbol: str, query: Query, now_ms: int) -> Answer:
    instrument, bar = market.instrument(symbol), BARS.get(query.get("granularity", ""))
    if bar is None:
        raise _OandaError("Invalid value specified for 'granularity'")
    if query.get("price", "M") not in SIDES:
        raise _OandaError("Invalid value specified for 'price'")
    if any(query.get(name) != value for name, value in ALIGNMENT.items()):
        raise _OandaError("not served by this paper exchange: days and weeks on another grid")
    rows = _page(market, instrument, bar, query, now_ms)
    body: dict[str, Any] = {"instrument": symbol, "granularity": query["granularity"]}
    _put(body, [_cells(row, instrument, bar, query.get("price", "M"), now_ms) for row in rows.tolist()])
    return json_answer(body, symbol=symbol)


def _page(market: PaperMarket, instrument: PaperInstrument, bar: Timeframe, query: Query, now_ms: int) -> Candles:
    start_ms, end_ms = _moment(query, "from", now_ms), _moment(query, "to", now_ms)
    count = DEFAULT_COUNT if "count" not in query else whole_number(query["count"])
    if not count:
        raise _OandaError("Invalid value specified for 'count'")
    if start_ms is not None and end_ms is not None:
        if "count" in query:
            raise _OandaError("'count' cannot be specified when 'to' and 'from' are both specified")
        if bar.bars(bar.floor(start_ms), end_ms) > MAX_COUNT:
            raise _OandaError("Maximum value for 'count' exceeded")
        return market.oldest(instrument.symbol, bar.name, bar.floor(start_ms), end_ms + 1, MAX_COUNT, now_ms)
    if count > MAX_COUNT:
        raise _OandaError("Maximum value for 'count' exceeded")
    if start_ms is not None:
        return market.oldest(instrument.symbol, bar.name, bar.floor(start_ms), now_ms + 1, count, now_ms)
    end_ms = now_ms if end_ms is None else end_ms
    return market.newest(instrument.symbol, bar.name, 0, end_ms + 1, count, now_ms)


def _cells(row: Any, instrument: PaperInstrument, bar: Timeframe, price: str, now_ms: int) -> Cells:
    """Prices as text with the instrument's decimals; the volume counts prices."""
    open_ms, *prices, volume, _ = row
    side, steps = SIDES[price]
    decimals = decimals_of(instrument.tick_size)
    told = [f"{value + steps * float(instrument.tick_size):.{decimals}f}" for value in prices]
    return [open_ms, *told, round(volume), open_ms + bar.step_ms <= now_ms, side]


def _moment(query: Query, name: str, now_ms: int) -> int | None:
    if name not in query:
        return None
    try:
        moment_ms = _ms(query[name])
    except ValueError:
        raise _OandaError(f"Invalid value specified for '{name}'") from None
    if moment_ms > now_ms:
        raise _OandaError(f"Invalid value specified for '{name}'. Time is in the future")
    return moment_ms


def _ms(text: str) -> int:
    whole, _, fraction = text.removesuffix("Z").partition(".")
    at = datetime.fromisoformat(whole).replace(tzinfo=timezone.utc)
    return round(at.timestamp()) * 1000 + int(fraction[:3] or 0)


def _text(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms // 1000, timezone.utc):%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}000000Z"
