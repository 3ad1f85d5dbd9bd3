"""Pages of candles made from a true market and damaged as an exchange might, without HTTP: for property tests.

    asked = question("okx", bars, cursor_ms=..., limit=300)
    page = faulty_page(asked, [PageDamage("moved", by="-400d"), PageDamage("left_out")], seed=7)
    page.answer().body      what the exchange sends, in its wire format
    page.rows               what was done: of each row the true open time, the sent one, whether a number was changed
    page.left_out           the bars that a sound answer has and this one has not

The paper exchange's server damages its pages with the same code; :func:`switch_on` switches a fault on there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from hypothesis import strategies as st

from backfill.domain.timeframes import MINUTE_MS
from backfill.domain.timeframes import timeframe as timeframe_named
from backfill.paper.binance_protocol import BinanceProtocol
from backfill.paper.blofin_protocol import BlofinProtocol
from backfill.paper.bybit_protocol import BybitProtocol
from backfill.paper.given_market import GivenMarket
from backfill.paper.kraken_protocol import KrakenProtocol
from backfill.paper.market import CANDLE, Candles, PaperMarket
from backfill.paper.okx_protocol import OkxProtocol
from backfill.paper.page_faults import (
    GARBLED,
    MOVES,
    PAGES,
    FaultyPage,
    PageDamage,
    Question,
    damaged_page,
    dice_of,
    sound_page,
)
from backfill.paper.protocol import ExchangeProtocol
from backfill.paper.switchboard import Switchboard, Switched

PROTOCOLS: dict[str, type[ExchangeProtocol]] = {
    "blofin": BlofinProtocol,
    "okx": OkxProtocol,
    "bybit": BybitProtocol,
    "binance": BinanceProtocol,
    "kraken": KrakenProtocol,
}
VENUES = tuple(PROTOCOLS)
SYMBOL = {"kraken": "BTC-USDT-SPOT"}
MOST_ROWS = {"blofin": 1440, "okx": 300, "bybit": 1000, "binance": 1500, "kraken": 720}


def symbol_at(venue: str) -> str:
    """Our name of the instrument that :func:`question` asks for."""
    return SYMBOL.get(venue, "BTC-USDT")


def bars_from(opens_ms: Sequence[int], seed: int = 0) -> Candles:
    """Sound bars that open at these times, no two alike."""
    bars = np.zeros(len(opens_ms), dtype=CANDLE)
    steps = np.random.default_rng(seed).integers(1, 50, len(opens_ms)).cumsum()
    bars["open_ms"] = opens_ms
    bars["open"] = 50_000 + steps
    bars["close"] = bars["open"] + 3
    bars["high"] = bars["open"] + 5
    bars["low"] = bars["open"] - 5
    bars["base_volume"] = 10 + np.arange(len(opens_ms))
    bars["quote_volume"] = bars["base_volume"] * bars["close"]
    return bars


def question(
    venue: str,
    bars: Candles,
    *,
    timeframe: str = "1m",
    cursor_ms: int | None = None,
    limit: int | None = None,
    now_ms: int | None = None,
    market: PaperMarket | None = None,
) -> Question:
    """A question for the ``limit`` newest bars before ``cursor_ms``, at ``now_ms``: by default when all have ended.

    ``market``: another one than that of these bars alone. Kraken gives its newest 720 whatever is asked.
    """
    step_ms = timeframe_named(timeframe).step_ms
    now_ms = int(bars["open_ms"][-1]) + step_ms if now_ms is None else now_ms
    market = market or GivenMarket({(symbol_at(venue), timeframe): bars})
    path, query = _asked(venue, timeframe, min(limit or MOST_ROWS[venue], MOST_ROWS[venue]), cursor_ms, step_ms)
    return Question(PROTOCOLS[venue](), market, path, query, now_ms)


def _asked(venue: str, timeframe: str, limit: int, cursor_ms: int | None, step_ms: int) -> tuple[str, dict[str, str]]:
    minutes = str(step_ms // MINUTE_MS)
    capital = timeframe if timeframe.endswith("m") else timeframe.upper()
    last = {} if cursor_ms is None else {"end": str(cursor_ms - 1)}
    end_time = {} if cursor_ms is None else {"endTime": str(cursor_ms - 1)}
    after = {} if cursor_ms is None else {"after": str(cursor_ms)}
    rows = {"limit": str(limit)}
    return {
        "blofin": ("/api/v1/market/candles", {"instId": "BTC-USDT", "bar": capital, **rows, **after}),
        "okx": ("/api/v5/market/history-candles", {"instId": "BTC-USDT-SWAP", "bar": capital, **rows, **after}),
        "bybit": ("/v5/market/kline", {"category": "linear", "symbol": "BTCUSDT", "interval": minutes, **rows, **last}),
        "binance": (
            "/fapi/v1/klines",
            {"symbol": "BTCUSDT", "interval": timeframe, **rows, **end_time},
        ),
        "kraken": ("/0/public/OHLC", {"pair": "XBTUSDT", "interval": minutes}),
    }[venue]


def true_page(asked: Question) -> FaultyPage:
    page = sound_page(asked)
    assert page is not None, asked
    return page


def faulty_page(asked: Question, damages: Sequence[PageDamage], seed: int) -> FaultyPage:
    """The answer with all of these faults; the same one for the same seed."""
    dice = [dice_of(seed, number, damage.name) for number, damage in enumerate(damages)]
    return damaged_page(true_page(asked), list(zip(damages, dice, strict=True)))


def switch_on(faults: Switchboard, damage: PageDamage, **narrowing: Any) -> Switched:
    """Have a running exchange damage its pages so; ``narrowing`` as for :meth:`Switchboard.on`."""
    how = {name: value for name, value in asdict(damage).items() if value not in (None, "")}
    return faults.on(**how, **narrowing)


def damages(names: Sequence[str] = PAGES) -> st.SearchStrategy[PageDamage]:
    """Any one fault of a page, with parameters that suit it."""
    few = st.one_of(st.none(), st.integers(0, 12))
    strategies = {name: st.builds(PageDamage, st.just(name), rows=few) for name in PAGES}
    shares = st.one_of(st.none(), st.floats(0, 1))
    for name in ("left_out", "duplicated", "neighbours_time", "times_swapped", "reordered"):
        strategies[name] = st.builds(PageDamage, st.just(name), share=shares)
    moves = st.sampled_from(("", "any", *MOVES))
    strategies["moved"] = st.builds(PageDamage, st.just("moved"), rows=few, by=moves)
    shifts = st.sampled_from(("", "-3bar", "5bar", "-1page", "1page"))
    strategies["block_shifted"] = st.builds(PageDamage, st.just("block_shifted"), rows=few, by=shifts)
    strategies["garbled"] = st.builds(PageDamage, st.just("garbled"), rows=few, value=st.sampled_from(("", *GARBLED)))
    edges = st.sampled_from(("newest", "oldest"))
    strategies["short_page"] = st.builds(PageDamage, st.just("short_page"), rows=few, keep=edges)
    cursors = st.sampled_from(("", "-1page", "1page", "-3bar", "3bar"))
    strategies["wrong_cursor"] = st.builds(PageDamage, st.just("wrong_cursor"), by=cursors)
    for name in ("empty_page", "other_instrument", "other_timeframe"):
        strategies[name] = st.just(PageDamage(name))
    return st.sampled_from(tuple(names)).flatmap(lambda name: strategies[name])


def mixes(names: Sequence[str] = PAGES, most: int = 3) -> st.SearchStrategy[list[PageDamage]]:
    """Any mix of up to ``most`` faults of one page."""
    return st.lists(damages(names), max_size=most)
