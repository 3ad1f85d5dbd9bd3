"""Stocks that are split: an adjusted series is replaced as a whole, a raw one stays, and the log has one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from backfill.config.connections import SourceConnection
from backfill.config.settings import Settings
from backfill.config.universe_model import Validation
from backfill.domain.timeframes import utc
from backfill.jobs.fill.fill_gaps import FillReport
from backfill.jobs.fill.fill_universe import fill_series
from backfill.jobs.validate.validate_series import ValidationReport
from backfill.jobs.validate.validate_universe import validate_universe
from backfill.paper.alphavantage_protocol import AlphaVantageProtocol
from backfill.paper.coins import STOCKS_AND_CURRENCIES
from backfill.paper.limits import NO_LIMITS
from backfill.paper.market import SplitMarket
from backfill.paper.polygon_protocol import PolygonProtocol
from backfill.paper.protocol import ExchangeProtocol
from backfill.paper.server import PaperExchange
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.sources.runtime import Runtime
from backfill.storage.candle_store import CandleStore
from backfill.storage.gap_fill_log import RunIdentity
from backfill.storage.series import SeriesWindow
from integration.helpers import DAY_MS, HOUR_MS, MINUTE_MS, NOW_MS, rows, wanted_series, window_of
from waiting import PATIENCE_S

SPLIT_MS = NOW_MS - NOW_MS % DAY_MS
BEFORE_MS, AFTER_MS = SPLIT_MS - 30 * MINUTE_MS + 10_000, SPLIT_MS + 30 * MINUTE_MS + 10_000
MARKET = SyntheticMarket(coins=STOCKS_AND_CURRENCIES)
SPLIT_MARKET = SplitMarket(MARKET, {"AAPL": [(SPLIT_MS, 4.0)]})
PROTOCOLS: dict[str, Callable[[], ExchangeProtocol]] = {
    "polygon": PolygonProtocol,
    "alphavantage": AlphaVantageProtocol,
}
KEY = "paper-key-77aa"
LOGGED = "SELECT instrument, what, new FROM backfill.instrument_log WHERE what = 'split' ORDER BY id"


@dataclass
class Desk:
    """Papers with one clock, and the jobs at its time."""

    uri: str
    papers: dict[str, PaperExchange]
    store: CandleStore
    now_ms: int = BEFORE_MS

    def _runtime(self, page_rows: int) -> Runtime:
        def connection_of(source: str) -> SourceConnection:
            url, options = self.papers[source].url, {"outputsize": "full"}  # a free key's reach is that of today
            return SourceConnection(base_url=url, api_secret=KEY, timeout_s=PATIENCE_S, options=options)

        return Runtime(self.uri, Settings(batch_limit=page_rows), connection_of)

    def fill(self, window: SeriesWindow, page_rows: int = 150, **how: object) -> FillReport:
        self.store.connection.execute("DELETE FROM backfill.rate_budgets")  # of Polygon's five a minute
        with self._runtime(page_rows) as runtime:
            (report,) = fill_series(runtime, [window], RunIdentity("test", "run", "fill"), **how)  # type: ignore[arg-type]
        return report

    def validate(self, window: SeriesWindow) -> ValidationReport:
        who = RunIdentity("test", "validation", "validate")
        with self._runtime(1440) as runtime:
            (report,) = validate_universe(runtime, [window], who, Validation(), at=utc(self.now_ms))
        return report


@pytest.fixture
def desk(store: CandleStore, database_uri: str) -> Iterator[Desk]:
    desk = Desk(database_uri, {}, store)
    with ExitStack() as opened:
        for name, made in PROTOCOLS.items():
            desk.papers[name] = opened.enter_context(
                PaperExchange(SPLIT_MARKET, made(), limits=NO_LIMITS, clock=lambda: desk.now_ms)
            )
        yield desk


def want(store: CandleStore, splits: str, *sources: str, timeframe: str = "1m", history_ms: int = 6 * HOUR_MS) -> None:
    wanted_series(store, "AAPL", timeframe, sources=sources or ("polygon",), history_ms=history_ms, state="live")
    store.connection.execute("UPDATE backfill.series SET splits = %s WHERE timeframe = %s", (splits, timeframe))


def closes(store: CandleStore, timeframe: str = "1m") -> dict[int, float]:
    stored = (
        "SELECT (extract(epoch FROM open_time) * 1000)::bigint, close FROM backfill.candles AS c "
        "JOIN backfill.series AS s ON s.id = c.series_id WHERE s.timeframe = %s ORDER BY 1"
    )
    return dict(rows(store.connection, stored, (timeframe,)))


def true_closes(
    opens_ms: dict[int, float], market: SplitMarket | SyntheticMarket, timeframe: str = "1m"
) -> list[float]:
    bars = market.candles("AAPL", timeframe, min(opens_ms), max(opens_ms) + 1)
    return [float(close) for close in bars["close"]]


def test_an_adjusted_series_is_at_the_new_scale_as_a_whole_for_a_page_each(store: CandleStore, desk: Desk) -> None:
    want(store, "adjusted")
    assert desk.fill(window_of(store, "AAPL", "1m", now_ms=BEFORE_MS)).rows_inserted == 360
    old = closes(store)
    assert list(old.values()) == pytest.approx(true_closes(old, SPLIT_MARKET))

    desk.now_ms = AFTER_MS
    asked = desk.papers["polygon"].requests.total
    report = desk.fill(window_of(store, "AAPL", "1m", now_ms=AFTER_MS))

    # 360 bars from before, 60 of which have left the window, and 60 new ones, 150 a page.
    new = closes(store)
    assert len(new) == 420
    assert list(new.values()) == pytest.approx(true_closes(new, MARKET))
    assert (report.status, report.requests, report.requests_planned) == ("complete", 3, 3)
    assert desk.papers["polygon"].requests.total - asked == 3
    logged = rows(store.connection, LOGGED)
    assert [row[:2] for row in logged] == [("AAPL", "split")]
    assert logged[0][2].startswith("4:1 between 2026-03-09 23:29 and 2026-03-10 00:30")
    assert rows(
        store.connection, "SELECT count(*), count(*) FILTER (WHERE reason = 'split') FROM backfill.revisions"
    ) == [(360, 0)]
    assert rows(
        store.connection, "SELECT round((sum(new_volume) / sum(volume))::numeric, 6) FROM backfill.revisions"
    ) == [(4,)]
    # Nothing is left to do, and another timeframe's discovery is the same split.
    assert desk.fill(window_of(store, "AAPL", "1m", now_ms=AFTER_MS)).requests == 0
    assert desk.validate(window_of(store, "AAPL", "1m", now_ms=AFTER_MS)).open_findings == {}


def test_each_timeframe_is_replaced_and_the_split_is_logged_once(store: CandleStore, desk: Desk) -> None:
    for name in ("1m", "15m"):
        want(store, "adjusted", timeframe=name)
        desk.fill(window_of(store, "AAPL", name, now_ms=BEFORE_MS))
    desk.now_ms = AFTER_MS
    for name in ("1m", "15m"):
        desk.fill(window_of(store, "AAPL", name, now_ms=AFTER_MS))
        kept = closes(store, name)
        assert list(kept.values()) == pytest.approx(true_closes(kept, MARKET, name))
    assert len(rows(store.connection, LOGGED)) == 1
    (split,) = rows(
        store.connection, "SELECT ratio, after_time, until_time <= %s FROM backfill.splits", (utc(AFTER_MS),)
    )
    assert split == (4.0, utc(BEFORE_MS - 70_000), True)


def test_a_series_that_cannot_be_read_as_a_whole_stays_at_the_old_scale(store: CandleStore, desk: Desk) -> None:
    want(store, "adjusted")
    desk.fill(window_of(store, "AAPL", "1m", now_ms=BEFORE_MS))
    old, desk.now_ms = closes(store), AFTER_MS
    window = window_of(store, "AAPL", "1m", now_ms=AFTER_MS)
    desk.papers["polygon"].faults.on("geo_block", after=2)
    report = desk.fill(window)
    assert report.status != "complete"
    assert closes(store) == old
    assert rows(store.connection, LOGGED) == []

    desk.papers["polygon"].faults.off()
    store.connection.execute("DELETE FROM backfill.source_health")
    desk.fill(window)
    new = closes(store)
    assert list(new.values()) == pytest.approx(true_closes(new, MARKET))
    assert len(rows(store.connection, LOGGED)) == 1


def test_what_the_source_no_longer_gives_is_rescaled(store: CandleStore, desk: Desk) -> None:
    want(store, "adjusted", "alphavantage", "polygon", timeframe="1d", history_ms=60 * DAY_MS)
    desk.fill(window_of(store, "AAPL", "1d", now_ms=BEFORE_MS), only=["alphavantage"])
    assert (
        desk.papers["alphavantage"].requests.total == 2
    )  # its days are as traded: the list of splits comes beside them
    gone = list(closes(store, "1d"))[20:23]
    stand_in = "UPDATE backfill.candles SET source_id = %s WHERE extract(epoch FROM open_time) * 1000 = ANY (%s)"
    store.connection.execute(stand_in, (store.source_id("polygon"), gone))
    desk.papers["alphavantage"].faults.on("missing", symbol="AAPL", timeframe="1d", opens_ms=gone)
    desk.now_ms = SPLIT_MS + DAY_MS + HOUR_MS
    desk.fill(window_of(store, "AAPL", "1d", now_ms=desk.now_ms), only=["alphavantage"])
    new = closes(store, "1d")
    assert list(new.values()) == pytest.approx(true_closes(new, MARKET, "1d"), rel=2e-4)
    rescaled = (
        "SELECT count(*), min(close / new_close), max(new_volume / volume) FROM backfill.revisions "
        "WHERE reason = 'split'"
    )
    assert rows(store.connection, rescaled) == [(3, pytest.approx(4), pytest.approx(4))]


def test_a_source_behind_the_primary_cannot_mix_scales(store: CandleStore, desk: Desk) -> None:
    """Its prices are refused until the primary source shows the split too."""
    want(store, "adjusted", "polygon", "alphavantage", timeframe="1d", history_ms=60 * DAY_MS)
    window = window_of(store, "AAPL", "1d", now_ms=BEFORE_MS)
    store.connection.execute("UPDATE backfill.series SET source_ids = %s", ([store.source_id("alphavantage")],))
    desk.fill(window_of(store, "AAPL", "1d", now_ms=BEFORE_MS))
    both = [store.source_id("polygon"), store.source_id("alphavantage")]
    store.connection.execute("UPDATE backfill.series SET source_ids = %s", (both,))
    store.connection.execute("DELETE FROM backfill.candles WHERE open_time < %s", (utc(window.start_ms + 5 * DAY_MS),))
    old, desk.now_ms = closes(store, "1d"), SPLIT_MS + DAY_MS + HOUR_MS
    report = desk.fill(window_of(store, "AAPL", "1d", now_ms=desk.now_ms), only=["alphavantage"])
    assert "as after a split that the primary source does not show yet" in (report.error or "")
    assert closes(store, "1d") == old
    assert rows(store.connection, LOGGED) == []


def test_a_raw_series_stays_and_its_jump_is_the_split(store: CandleStore, desk: Desk) -> None:
    want(store, "raw", "alphavantage", timeframe="1d", history_ms=90 * DAY_MS)
    desk.fill(window_of(store, "AAPL", "1d", now_ms=BEFORE_MS))
    old, desk.now_ms = closes(store, "1d"), SPLIT_MS + 5 * DAY_MS + HOUR_MS
    window = window_of(store, "AAPL", "1d", now_ms=desk.now_ms)
    desk.fill(window)
    new = closes(store, "1d")
    assert {day: close for day, close in new.items() if day in old} == old
    assert list(new.values()) == pytest.approx(true_closes(new, SPLIT_MARKET, "1d"))
    assert new[SPLIT_MS - DAY_MS] / new[SPLIT_MS] > 3
    assert rows(store.connection, LOGGED) == []

    asked = desk.papers["alphavantage"].requests.total
    report = desk.validate(window)
    assert (report.open_findings, report.problems) == ({}, [])
    assert rows(store.connection, "SELECT kind, verdict, detail FROM backfill.findings WHERE status = 'open'") == []
    logged = rows(store.connection, LOGGED)
    assert [row[2] for row in logged] == ["4:1 between 2026-03-09 23:59 and 2026-03-11 00:00 UTC"]
    assert rows(store.connection, "SELECT count(*) FROM backfill.revisions") == [(0,)]
    assert desk.papers["alphavantage"].requests.total - asked <= 3

    # The split is known: its list is not asked for again. Another jump is still a suspect.
    store.connection.execute("DELETE FROM backfill.findings; SET session_replication_role = replica")
    wrong = (
        "UPDATE backfill.candles SET open = open/3, high = high/3, low = low/3, close = close/3 WHERE open_time < %s"
    )
    store.connection.execute(wrong, (utc(SPLIT_MS - 40 * DAY_MS),))
    store.connection.execute("RESET session_replication_role")
    desk.papers["alphavantage"].faults.on("geo_block", symbol="AAPL")
    desk.validate(window)
    assert len(rows(store.connection, LOGGED)) == 1
    jumps = "SELECT verdict, start_time FROM backfill.findings WHERE status = 'open' AND kind = 'price_jump'"
    assert rows(store.connection, jumps) == [("suspect", utc(SPLIT_MS - 40 * DAY_MS))]
