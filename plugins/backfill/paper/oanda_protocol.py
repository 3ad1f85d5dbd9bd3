"""OANDA's v20 candles, after https://developer.oanda.com/rest-live-v20/instrument-ep/.

``from`` and ``count``, or ``from`` and ``to``. Bars without a price are missing. Errors are as others recorded them: a
count above 5000, an unknown instrument, and a ``to`` in the future are 400. Only UTC days are served; the default, New
York's evening, is off our grid and refused. Bid and ask stand half a spread beside mid.
"""

from __future__ import annotations

import re
from typing import Any

from backfill.domain.timeframes import TIMEFRAMES
from backfill.paper.limits import HouseRules, PaperRefusal, RequestWindow
from backfill.paper.market import Candles, PaperInstrument, PaperMarket
from backfill.paper.protocol import (
    Answer,
    CandleWire,
    Cells,
    PlainRequests,
    Query,
    decimals_of,
    fixed_decimals,
    html_answer,
    json_answer,
    whole_number,
)

ROOT = "/v3/instruments/"
_CANDLES = re.compile(ROOT + r"([A-Z0-9]+_[A-Z0-9]+)/candles")
GRANULARITIES = {
    **{f"M{minutes}": TIMEFRAMES[f"{minutes}m"] for minutes in (1, 5, 15, 30)},
    **{f"H{hours}": TIMEFRAMES[f"{hours}h"] for hours in (1, 2, 4, 6, 8, 12)},
    "D": TIMEFRAMES["1d"],
    "W": TIMEFRAMES["1w"],
}
USUAL_COUNT, MOST_COUNT = 500, 5000
SIDES = {"M": ("mid", 0.0), "B": ("bid", -1.0), "A": ("ask", 1.0)}


class _OandaError(Exception):
    pass


def _flat(body: Any) -> list[Cells]:
    """Candles as rows: time, then o, h, l, c of the first price, then the candle itself."""
    rows = []
    for candle in body["candles"]:
        prices = next(candle[side] for side, _ in SIDES.values() if side in candle)
        rows.append([candle["time"], *(prices[name] for name in "ohlc"), candle])
    return rows


def _put(body: Any, rows: list[Cells]) -> None:
    sides = [side for side, _ in SIDES.values()]
    body["candles"] = [
        {**candle, "time": time, next(side for side in sides if side in candle): dict(zip("ohlc", prices, strict=True))}
        for time, *prices, candle in rows
    ]


class OandaProtocol(PlainRequests):
    house_rules = HouseRules((RequestWindow(100, span_ms=1000),))
    read_headers = ("authorization", "accept-datetime-format")
    wire = CandleWire(
        (ROOT,),
        lambda query: GRANULARITIES[query.get("granularity", "")],
        _flat,
        newest_first=False,
        numbers=(1, 2, 3, 4),
        unit_ms=1000,
        put_rows=_put,
    )

    def answer(self, market: PaperMarket, method: str, path: str, query: Query, now_ms: int) -> Answer:
        """Answer candles."""
        if not query.get("authorization:", "").startswith("Bearer "):
            return json_answer({"errorMessage": "Insufficient authorization to perform request."}, 401)
        found = _CANDLES.fullmatch(path)
        if found is None:
            return json_answer({"errorMessage": "Invalid value specified for 'instrument'"}, 400)
        try:
            return _candles(market, found[1], query, now_ms)
        except _OandaError as error:
            return json_answer({"errorMessage": str(error)}, 400)

    def refusal(self, refused: PaperRefusal, now_ms: int) -> Answer:
        """429 in JSON; the firewall's is HTML."""
        if refused.status == 429:
            return json_answer({"errorMessage": "Too many requests"}, 429)
        return html_answer(refused.status, f"{refused.status} Forbidden")


def _candles(market: PaperMarket, name: str, query: Query, now_ms: int) -> Answer:
    instrument = {one.symbol: one for one in market.instruments}.get(name)
    if instrument is None:
        raise _OandaError("Invalid value specified for 'instrument'")
    bar = GRANULARITIES.get(query.get("granularity", ""))
    if bar is None:
        raise _OandaError("Invalid value specified for 'granularity'")
    is_utc = (query.get("dailyAlignment"), query.get("alignmentTimezone")) == ("0", "UTC")
    if bar.name[-1] in "dw" and not (is_utc and query.get("weeklyAlignment") == "Monday"):
        raise _OandaError("the paper exchange has days on UTC only")
    start_s, end_s = whole_number(query.get("from", "")), whole_number(query.get("to", ""))
    count = whole_number(query.get("count", "")) or USUAL_COUNT
    if end_s is not None and 1000 * end_s > now_ms:
        raise _OandaError("Invalid value specified for 'to'. Time is in the future")
    if count > MOST_COUNT or (start_s and end_s and (end_s - start_s) * 1000 > MOST_COUNT * bar.step_ms):
        raise _OandaError("Maximum value for 'count' exceeded")
    if start_s is None:
        raise _OandaError("Invalid value specified for 'from'")
    end_ms = now_ms + 1 if end_s is None else 1000 * end_s
    most = MOST_COUNT if end_s is not None else count
    page = market.oldest(name, bar.name, 1000 * start_s, end_ms, most, now_ms)
    rows = _rows(page, instrument, query, bar.step_ms, now_ms)
    return json_answer({"instrument": name, "granularity": query["granularity"], "candles": rows}, symbol=name)


def _rows(
    page: Candles, instrument: PaperInstrument, query: Query, step_ms: int, now_ms: int
) -> list[dict[str, object]]:
    decimals = decimals_of(instrument.tick_size)
    sides = {}
    for letter in query.get("price") or "M":
        side, spreads = SIDES[letter]
        by = spreads * float(instrument.tick_size)
        sides[side] = [fixed_decimals(page[column] + by, decimals) for column in ("open", "high", "low", "close")]
    is_unix = query.get("accept-datetime-format:") == "UNIX"
    rows: list[dict[str, object]] = []
    for place, open_ms in enumerate(page["open_ms"].tolist()):
        prices = {side: dict(zip("ohlc", (cells[place] for cells in of), strict=True)) for side, of in sides.items()}
        time = f"{open_ms // 1000}.{open_ms % 1000:03}000000" if is_unix else f"{open_ms}"
        volume = 1 + int(page["base_volume"][place]) // 1000
        rows.append({"complete": open_ms + step_ms <= now_ms, "volume": volume, "time": time, **prices})
    return rows
