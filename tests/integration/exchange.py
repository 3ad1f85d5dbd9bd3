"""A Blofin on paper that tells the time we set and misbehaves when told to."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import requests

from backfill.domain.timeframes import timeframe as timeframe_named
from backfill.exchanges.blofin_client import BlofinClient
from backfill.jobs.fill.fill_gaps import FillReport, fill_gaps
from backfill.paper.blofin_protocol import BlofinProtocol
from backfill.paper.limits import NO_LIMITS
from backfill.paper.market import PaperMarket
from backfill.paper.protocol import Answer
from backfill.paper.server import PaperExchange, wall_clock_ms
from backfill.sources.blofin_source import BlofinSource
from backfill.storage.candle_store import CandleStore
from backfill.storage.gap_fill_log import RunIdentity
from backfill.storage.rate_budget import RateBudget
from backfill.storage.series import SeriesWindow
from integration.helpers import NOW_MS, rows
from waiting import PATIENCE_S

WHO = RunIdentity("test", "run", "fill")
CANDLES = "/api/v1/market/candles"


class Question(NamedTuple):
    """A question for candles: the how manieth it is, and what it asks for."""

    number: int
    symbol: str
    bar: str
    after_ms: int
    limit: int


# Gives the answer instead of the true one, which it is handed; None: the true one.
Misbehaviour = Callable[[Question, Answer], Answer | None]


class WilfulProtocol(BlofinProtocol):
    """Blofin's protocol, with ``misbehave`` having the last word on candles. Keeps the questions in ``asked``."""

    def __init__(self) -> None:
        self.misbehave: Misbehaviour | None = None
        self.asked: list[Question] = []

    def answer(self, market: PaperMarket, method: str, path: str, query: Mapping[str, str], now_ms: int) -> Answer:
        true = super().answer(market, method, path, query, now_ms)
        if path != CANDLES:
            return true
        question = Question(
            len(self.asked) + 1,
            query.get("instId", ""),
            query.get("bar", ""),
            int(query.get("after", 0)),
            int(query.get("limit", 0)),
        )
        self.asked.append(question)
        return (self.misbehave and self.misbehave(question, true)) or true


class Clock:
    """Stands at ``now_ms``; None: goes with the computer's."""

    def __init__(self, now_ms: int | None) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return wall_clock_ms() if self.now_ms is None else self.now_ms


class PaperBlofin(PaperExchange):
    """The paper exchange over a market, with a clock to set and manners to spoil."""

    def __init__(self, market: PaperMarket, now_ms: int | None = NOW_MS) -> None:
        self.time = Clock(now_ms)
        self.manners = WilfulProtocol()
        super().__init__(market, self.manners, limits=NO_LIMITS, clock=self.time)

    def __enter__(self) -> PaperBlofin:
        super().__enter__()
        return self

    def behave(self, now_ms: int | None = NOW_MS) -> None:
        """As if it had just been started."""
        self.time.now_ms, self.manners.misbehave, self.latency_ms = now_ms, None, 0.0
        self.manners.asked.clear()
        self.reset_counts()
        self.reset_limits()

    @property
    def asked(self) -> list[Question]:
        return self.manners.asked


def data_of(answer: Answer) -> list[Any]:
    data: list[Any] = json.loads(answer.body)["data"]
    return data


def saying(data: Any, status: int = 200) -> Answer:
    """An answer in Blofin's envelope."""
    return Answer(status, json.dumps({"code": "0", "msg": "success", "data": data}).encode())


def source_of(
    exchange: PaperExchange,
    *,
    timeout_s: float = PATIENCE_S,
    rows_per_page: int = 1440,
    budget: RateBudget | None = None,
) -> BlofinSource:
    """The source as a fill uses it, except that it does not wait between tries."""
    turns = {} if budget is None else {"before_request": budget.take_turn, "on_ban": budget.pause}
    client = BlofinClient(
        requests.Session(),
        exchange.url,
        timeout_s=timeout_s,
        sleep=lambda _: None,
        **turns,  # type: ignore[arg-type]
    )
    return BlofinSource(client, rows_per_page=rows_per_page, settle_ms=5000)


def fill(store: CandleStore, exchange: PaperExchange, window: SeriesWindow, **options: Any) -> FillReport:
    """One attempt; ``options`` of the source (see :func:`source_of`) or of ``fill_gaps``."""
    of_source = {name: options.pop(name) for name in ("timeout_s", "rows_per_page", "budget") if name in options}
    return fill_gaps(store, [source_of(exchange, **of_source)], window, WHO, **options)


def candles_in_market(market: PaperMarket, window: SeriesWindow) -> list[tuple[Any, ...]]:
    """What history says: open ms, prices, base and quote volume of each bar of the window that exists."""
    bars = market.candles(window.symbol, window.timeframe, window.start_ms, window.end_ms)
    return [tuple(None if value != value else value for value in bar) for bar in bars.tolist()]


def candles_in_database(store: CandleStore, window: SeriesWindow) -> list[tuple[Any, ...]]:
    sql = (
        "SELECT (extract(epoch FROM open_time) * 1000)::bigint, open, high, low, close, volume, quote_volume "
        "FROM backfill.candles WHERE series_id = %s ORDER BY open_time"
    )
    return rows(store.connection, sql, (window.series_id,))


def assert_equals_market(store: CandleStore, window: SeriesWindow, market: PaperMarket) -> None:
    """The database holds the window's bars of the market, value for value, and no other."""
    stored, existing = candles_in_database(store, window), candles_in_market(market, window)
    assert [row[0] for row in stored] == [row[0] for row in existing]
    assert stored == existing


def run_log(store: CandleStore, columns: str) -> list[tuple[Any, ...]]:
    return rows(store.connection, f"SELECT {columns} FROM backfill.gap_fill_runs ORDER BY id")


def punch(store: CandleStore, window: SeriesWindow, opens_ms: Sequence[int]) -> None:
    """Delete bars, as a person with psql does."""
    store.connection.execute(
        "DELETE FROM backfill.candles WHERE series_id = %s "
        "AND open_time = ANY (SELECT to_timestamp(ms / 1000.0) FROM unnest(%s::bigint[]) AS ms)",
        (window.series_id, list(opens_ms)),
    )


def bars_of(window: SeriesWindow) -> list[int]:
    """The open times of the window's grid."""
    return list(range(window.start_ms, window.end_ms, timeframe_named(window.timeframe).step_ms))
