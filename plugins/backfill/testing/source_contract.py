"""What every source must do, as tests: subclass :class:`SourceContract` and name its source and paper server.

    class TestAcme(SourceContract):
        registered = SOURCE
        protocol = AcmeProtocol

Each test opens a paper exchange whose clock stands still in the middle of a bar, so no test depends on the time of day.
See docs/write_a_source.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import pytest
import requests

from backfill.domain.candle_columns import PRICES
from backfill.domain.intervals import Interval
from backfill.domain.page_plan import plan_pages
from backfill.domain.splits import ADJUSTED
from backfill.domain.symbols import Listing, Refusal, find_listing, named_markets
from backfill.domain.timeframes import TIMEFRAMES, Timeframe
from backfill.domain.timeframes import timeframe as timeframe_named
from backfill.domain.venues import Venue
from backfill.errors import (
    BadPayload,
    ExchangeError,
    ExchangeUnreachable,
    GeoBlocked,
    RateLimited,
    RequestRefused,
    SymbolNotListed,
)
from backfill.exchanges.source_contract import RegisteredSource
from backfill.paper.coins import LIQUID_COINS
from backfill.paper.limits import NO_LIMITS
from backfill.paper.market import Candles, PaperMarket, SplitMarket
from backfill.paper.protocol import ExchangeProtocol
from backfill.paper.server import PaperExchange
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.sources.candle_source import CandlePage, CandleSource, silent_in
from backfill.sources.window_source import WindowSource
from backfill.testing.bench import KEY as KEY
from backfill.testing.bench import Bench as Bench

NOW_MS = 1_773_144_030_000  # 2026-03-10T12:00:30Z, a Tuesday, in the middle of a minute
SETTLE_MS = 5_000
PAGE = 120  # rows, where a full page is not needed
# What each fault of the paper exchange must be raised as.
FAULTS: dict[str, type[ExchangeError]] = {
    "closed": ExchangeUnreachable,
    "cut": ExchangeUnreachable,
    "hanging": ExchangeUnreachable,
    "error_500": ExchangeUnreachable,
    "error_502": ExchangeUnreachable,
    "error_503": ExchangeUnreachable,
    "html": BadPayload,
    "half_json": BadPayload,
    "limited": RateLimited,
    "limited_7s": RateLimited,
    "banned": RateLimited,
    "geo_block": GeoBlocked,
    "restricted": GeoBlocked,
}
BROKEN = ("high_below_low", "zero_price", "off_grid")
# Of single rows of a page, in the source's own format.
PAGE_FAULTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("moved", {"by": "-17s"}),
    ("moved", {"by": "+400d"}),
    ("garbled", {"value": "text"}),
)


class SourceContract:
    """The tests. A source that is not registered overrides ``venue_of``, ``paper`` and ``open_source``.

    ``symbol`` is the instrument in the paper market, ``our_name`` our name of it, ``listing`` the source's (None: found
    in its list); ``timeframe`` is the finest served.
    """

    registered: ClassVar[RegisteredSource]
    protocol: ClassVar[Callable[[], ExchangeProtocol]]
    symbol: ClassVar[str] = "BTC-USDT"
    our_name: ClassVar[str | None] = None
    listing: ClassVar[Listing | None] = None
    timeframe: ClassVar[str] = "1m"
    unlisted: ClassVar[str] = "NOSUCH-USDT"

    # -- how a subclass may differ

    def venue_of(self) -> Venue:
        """The row of the source."""
        return self.registered.venue

    def market(self) -> PaperMarket:
        """What the paper exchange is given to serve."""
        return SyntheticMarket(coins=LIQUID_COINS[:2])

    def paper(self, market: PaperMarket, **how: Any) -> PaperExchange:
        """The source's paper exchange."""
        return PaperExchange(market, type(self).protocol(), **how)

    def open_source(
        self, bench: Bench, listing: Listing, timeframe: Timeframe, rows_per_page: int | None, **access: Any
    ) -> CandleSource:
        """The source as the runtime makes it."""
        client = self.registered.open(bench.access(**access))
        return WindowSource(self.venue_of(), client, listing, timeframe, SETTLE_MS, rows_per_page=rows_per_page)

    def find(self, bench: Bench) -> Listing:
        """How the source lists the instrument."""
        if self.listing is not None:
            return self.listing
        from backfill.domain.symbols import Instrument

        venue, name = self.venue_of(), self.our_name or self.symbol
        markets = named_markets(name, venue)
        if markets is None:
            client = self.registered.open(bench.access())
            markets = client.markets()
            client.close()
        found = find_listing(Instrument.named(name), venue, markets, spot_proxy=True)
        assert not isinstance(found, Refusal), f"{venue.source} lists no market for {name}: {found}"
        return found

    # -- what the tests share

    @contextmanager
    def bench_at(self, now_ms: int = NOW_MS, **how: Any) -> Iterator[Bench]:
        """A paper exchange whose clock stands at ``now_ms``."""
        with (
            self.paper(self.market(), clock=lambda: now_ms, **{"limits": NO_LIMITS, **how}) as exchange,
            requests.Session() as session,
        ):
            yield Bench(exchange, session)

    @pytest.fixture
    def bench(self) -> Iterator[Bench]:
        """A source's paper exchange without limits."""
        with self.bench_at() as opened:
            yield opened

    @property
    def step(self) -> Timeframe:
        """The finest timeframe."""
        return timeframe_named(self.timeframe)

    @contextmanager
    def source(
        self, bench: Bench, *, rows: int | None = PAGE, timeframe: str | None = None, **access: Any
    ) -> Iterator[CandleSource]:
        """The source, with pages of at most ``rows`` rows; None: as its row says."""
        bar = timeframe_named(timeframe or self.timeframe)
        most = self.venue_of().rows(bar.name)
        source = self.open_source(bench, self.find(bench), bar, most if rows is None else min(rows, most), **access)
        bench.turns -= bench.turns  # what finding the listing took
        bench.exchange.reset_counts()
        try:
            yield source
        finally:
            source.close()

    def ask(self, source: CandleSource, after_ms: int, timeframe: Timeframe | None = None) -> CandlePage:
        """One page."""
        return source.ask(self.our_name or self.symbol, timeframe or self.step, after_ms)

    def true_bars(self, bench: Bench, start_ms: int, end_ms: int, timeframe: Timeframe | None = None) -> Candles:
        """The closed bars of the paper market."""
        bar = timeframe or self.step
        end_ms = min(end_ms, bar.last_closed_end(NOW_MS, SETTLE_MS))
        return bench.exchange.market.candles(self.symbol, bar.name, start_ms, end_ms, NOW_MS)

    def assert_same(self, page_candles: Any, true: Candles) -> None:
        """Open times and prices value for value; volumes in coins, where the source has them."""
        assert page_candles["open_ms"].tolist() == true["open_ms"].tolist()
        for column in PRICES:
            np.testing.assert_allclose(page_candles[column], true[column], rtol=1e-12, err_msg=column)
        if self.venue_of().volume == "none":
            assert np.isnan(page_candles["volume"]).all()
            return
        np.testing.assert_allclose(page_candles["volume"], true["base_volume"], rtol=1e-9, err_msg="volume in coins")
        paid = page_candles["quote_volume"]
        known = ~np.isnan(paid)
        np.testing.assert_allclose(paid[known], true["quote_volume"][known], rtol=1e-6, err_msg="quote volume")

    # -- paging and bounds

    def test_pages_meet_without_hole_or_overlap(self, bench: Bench) -> None:
        """Two and a half pages as planned are the market, bar for bar."""
        with self.source(bench) as source:
            step_ms, end_ms = self.step.step_ms, self.step.floor(NOW_MS) - 15 * self.step.step_ms
            reach_ms = self.venue_of().oldest_open_ms(step_ms, NOW_MS) or 0
            window = Interval(max(reach_ms, end_ms - source.rows_per_page * 5 // 2 * step_ms), end_ms)
            pages = [self.ask(source, one.after_ms) for one in plan_pages([window], step_ms, source.rows_per_page)]
        opens = np.concatenate([page.candles["open_ms"] for page in reversed(pages)])
        inside = opens[(opens >= window.start) & (opens < window.end)]
        assert inside.tolist() == self.true_bars(bench, window.start, window.end)["open_ms"].tolist()
        assert all(page.is_clean and not page.broken for page in pages)

    def test_a_page_ends_before_its_cursor_and_has_the_bar_before_it(self, bench: Bench) -> None:
        """``after_ms`` is exclusive."""
        after_ms = self.step.floor(NOW_MS) - 30 * self.step.step_ms
        with self.source(bench) as source:
            page = self.ask(source, after_ms)
        assert int(page.candles["open_ms"][-1]) == after_ms - self.step.step_ms
        assert len(page.rows) <= source.rows_per_page + 1  # some give the bar at a bound too

    def test_a_page_is_the_market_value_for_value(self, bench: Bench) -> None:
        """Prices, and volumes in coins."""
        after_ms = self.step.floor(NOW_MS) - 30 * self.step.step_ms
        with self.source(bench) as source:
            page = self.ask(source, after_ms)
        start_ms = after_ms - source.rows_per_page * self.step.step_ms
        self.assert_same(page.candles, self.true_bars(bench, start_ms, after_ms))

    def test_a_full_page_has_all_the_rows_that_the_source_promises(self, bench: Bench) -> None:
        """``rows_per_page`` is true: a page of that many bars comes whole."""
        with self.source(bench, rows=None) as source:
            after_ms = self.step.floor(NOW_MS) - 30 * self.step.step_ms
            page = self.ask(source, after_ms)
            start_ms = after_ms - source.rows_per_page * self.step.step_ms
        assert page.candles["open_ms"].tolist() == self.true_bars(bench, start_ms, after_ms)["open_ms"].tolist()

    def test_every_timeframe_opens_on_our_grid(self, bench: Bench) -> None:
        """And is the market's own."""
        for name, bar in TIMEFRAMES.items():
            if not self.venue_of().serves(name):
                continue
            after_ms = bar.floor(NOW_MS) - bar.step_ms
            with self.source(bench, rows=8, timeframe=name) as source:
                page = self.ask(source, after_ms, bar)
            true = self.true_bars(bench, after_ms - source.rows_per_page * bar.step_ms, after_ms, bar)
            self.assert_same(page.candles, true)
            assert not page.broken, name

    def test_threads_may_share_it(self, bench: Bench) -> None:
        """Four at once get what one gets."""
        with self.source(bench) as source:
            cursors = [self.step.floor(NOW_MS) - n * 7 * self.step.step_ms for n in range(1, 9)]
            with ThreadPoolExecutor(4) as threads:
                at_once = list(threads.map(lambda after_ms: self.ask(source, after_ms), cursors))
            for page, after_ms in zip(at_once, cursors, strict=True):
                assert page.candles["open_ms"].tolist() == self.ask(source, after_ms).candles["open_ms"].tolist()

    # -- clock and closed bars

    def test_only_closed_bars_are_candles(self, bench: Bench) -> None:
        """By the source's own clock, which is behind ours here."""
        running_ms = self.step.floor(NOW_MS)
        with self.source(bench) as source:
            page = self.ask(source, running_ms + self.step.step_ms)
        assert int(page.candles["open_ms"].max()) == running_ms - self.step.step_ms
        assert running_ms not in [ms for span in self.silent(page) for ms in span]

    def test_a_bar_that_has_just_closed_is_left_to_settle(self) -> None:
        """The last trades may still be counted."""
        just_after_ms = self.step.floor(NOW_MS) + SETTLE_MS // 2
        with self.bench_at(just_after_ms) as bench, self.source(bench) as source:
            page = self.ask(source, self.step.floor(NOW_MS))
        assert int(page.candles["open_ms"].max()) == self.step.floor(NOW_MS) - 2 * self.step.step_ms

    def test_its_clock_is_the_sources(self, bench: Bench) -> None:
        """To the second, as HTTP gives it."""
        with self.source(bench) as source:
            page = self.ask(source, self.step.floor(NOW_MS))
        assert page.server_ms is None or abs(page.server_ms - NOW_MS) < 1000

    # -- emptiness

    def silent(self, page: CandlePage) -> list[Interval]:
        """The bars that a page shows to be absent."""
        assert page.covers is not None
        return silent_in(page, page.covers, self.step)

    def test_missing_bars_are_silence(self, bench: Bench) -> None:
        """Neither an error nor candles; bars without trades may come flat."""
        end_ms = self.step.floor(NOW_MS) - 30 * self.step.step_ms
        gone = [end_ms - n * self.step.step_ms for n in (20, 21, 22, 40)]
        bench.exchange.faults.on("missing", opens_ms=gone)
        with self.source(bench) as source:
            page = self.ask(source, end_ms)
        assert not set(gone) & set(page.candles["open_ms"].tolist())
        absent = {ms for span in self.silent(page) for ms in range(span.start, span.end, self.step.step_ms)}
        assert absent == set(gone)

    def test_before_the_listing_there_is_nothing_and_no_error(self, bench: Bench) -> None:
        """An empty answer is an answer; beyond the source's reach there is an error instead."""
        listed_ms = bench.exchange.market.instrument(self.symbol).listed_ms
        after_ms = self.step.floor(listed_ms) - 50 * self.step.step_ms
        reach_ms = self.venue_of().oldest_open_ms(self.step.step_ms, NOW_MS)
        with self.source(bench) as source:
            if reach_ms is not None and after_ms < reach_ms:
                with pytest.raises(ExchangeError):
                    self.ask(source, after_ms)
                return
            page = self.ask(source, after_ms)
        assert (len(page.candles), page.broken, page.is_clean) == (0, [], True)
        assert page.is_the_end or self.silent(page)

    # -- errors

    @pytest.mark.parametrize("fault", FAULTS)
    def test_a_failure_is_its_typed_error_and_never_an_empty_page(self, bench: Bench, fault: str) -> None:
        """Retried or not, it is raised, and has no key in it."""
        bench.timeout_s = 0.3 if fault == "hanging" else bench.timeout_s
        with self.source(bench) as source:
            bench.exchange.faults.on(fault)
            with pytest.raises(ExchangeError) as raised:
                self.ask(source, self.step.floor(NOW_MS))
            bench.exchange.faults.off()
        assert isinstance(raised.value, FAULTS[fault]), raised.value
        assert raised.value.exchange == self.venue_of().source
        assert KEY not in f"{raised.value!r}{raised.value.__cause__!r}"

    def test_a_short_outage_is_ridden_out(self, bench: Bench) -> None:
        """The request is tried again, and each try is counted."""
        with self.source(bench) as source:
            bench.exchange.faults.on("error_503", requests=1)
            page = self.ask(source, self.step.floor(NOW_MS))
            made = source.requests_made
        assert len(page.candles)
        assert made >= 2

    def test_an_unknown_symbol_is_not_listed(self, bench: Bench) -> None:
        """Instead of endless empty pages."""
        known = self.find(bench)
        unknown = Listing(self.unlisted, known.instrument_class, 1.0, 1.0)
        source = self.open_source(bench, unknown, self.step, PAGE)
        with pytest.raises(SymbolNotListed):
            self.ask(source, self.step.floor(NOW_MS))
        source.close()

    @pytest.mark.parametrize("fault", BROKEN)
    def test_a_broken_row_is_refused_and_kept_for_people(self, bench: Bench, fault: str) -> None:
        """It is neither a candle nor silence."""
        end_ms = self.step.floor(NOW_MS) - 30 * self.step.step_ms
        bad_ms = end_ms - 7 * self.step.step_ms
        with self.source(bench) as source:
            bench.exchange.faults.on(fault, opens_ms=[bad_ms])
            page = self.ask(source, end_ms)
        assert page.broken
        assert bad_ms not in page.candles["open_ms"].tolist()
        assert all(0 <= row.place < len(page.rows) for row in page.broken)

    @pytest.mark.parametrize(("fault", "how"), PAGE_FAULTS)
    def test_a_page_with_wrong_rows_proves_nothing_by_them(self, bench: Bench, fault: str, how: dict[str, Any]) -> None:
        """A row at another time makes the page unclean; an unreadable one is refused, and its bar not silent."""
        end_ms = self.step.floor(NOW_MS) - 30 * self.step.step_ms
        bad_ms = end_ms - 7 * self.step.step_ms
        with self.source(bench) as source:
            bench.exchange.faults.on(fault, opens_ms=[bad_ms], **how)
            page = self.ask(source, end_ms)
        assert bench.exchange.requests.by_fault[fault], "the paper exchange's wire must name its rows"
        assert bad_ms not in page.candles["open_ms"].tolist()
        assert not page.is_clean or (page.broken and not any(s.start <= bad_ms < s.end for s in self.silent(page)))

    # -- limits and keys

    def test_each_request_takes_a_turn_and_a_limit_is_reported(self, bench: Bench) -> None:
        """So that all processes share one budget."""
        with self.source(bench) as other, self.source(bench) as source:  # the other has nothing in memory
            before = source.requests_made
            self.ask(source, self.step.floor(NOW_MS))
            assert bench.turns == source.requests_made - before == bench.exchange.requests.total
            bench.exchange.faults.on("limited_7s")
            with pytest.raises(RateLimited):
                self.ask(other, self.step.floor(NOW_MS))
        assert bench.limits
        assert 0 < bench.limits[-1].retry_after_s < math.inf

    def test_the_limits_of_its_row_keep_within_the_sources(self, bench: Bench) -> None:
        """Full pages at our fastest stay within every window of the paper exchange."""
        with self.source(bench, rows=None) as source:
            self.ask(source, self.step.floor(NOW_MS))
            weight, asked = bench.exchange.requests.weight, list(bench.exchange.requests.by_route)
        venue = self.venue_of()
        for window in bench.exchange.protocol.house_rules.windows:
            if not any(path.startswith(window.path) for path in asked):
                continue
            most = min(
                limit * math.ceil(window.span_ms / (1000 * period_s)) for limit, period_s in venue.limits_per_period_s
            )
            if venue.spacing_ms:
                most = min(most, window.span_ms // venue.spacing_ms + 1)
            assert most * weight <= window.max_requests, (venue.source, window)

    def test_without_its_key_it_does_not_ask(self, bench: Bench) -> None:
        """The error names the connection. A source that needs none answers without one."""
        with self.source(bench, api_secret=None) as source:
            if not self.venue_of().needs_key:
                assert self.ask(source, self.step.floor(NOW_MS)).rows
                return
            with pytest.raises(RequestRefused, match=f"{self.venue_of().source}_default"):
                self.ask(source, self.step.floor(NOW_MS))
            assert bench.exchange.requests.total == 0


class StockSourceContract(SourceContract):
    """For a source of stocks, whose row says what it does about splits (``split_prices``)."""

    def test_prices_of_a_stock_are_as_they_are_asked_for(self) -> None:
        """Before a split adjusted for it, or as traded; a list of splits names it."""
        served = self.venue_of().split_prices
        assert served, "its row must say which prices it has"
        step_ms = self.step.step_ms
        split_ms = timeframe_named("1d").floor(NOW_MS - 30 * step_ms)
        adjusted = self.market()
        as_traded = SplitMarket(adjusted, {self.symbol: [(split_ms, 4.0)]})
        with self.paper(as_traded, clock=lambda: NOW_MS, limits=NO_LIMITS) as exchange, requests.Session() as session:
            bench = Bench(exchange, session)
            for wish in served:
                with self.source(bench, splits=wish) as source:
                    page = self.ask(source, split_ms + 20 * step_ms)
                    listed = source.splits() if isinstance(source, WindowSource) else []
                market = adjusted if wish == ADJUSTED else as_traded
                start_ms = split_ms + (20 - source.rows_per_page) * step_ms
                true = market.candles(self.symbol, self.step.name, start_ms, split_ms + 20 * step_ms)
                assert page.candles["open_ms"].tolist() == true["open_ms"].tolist()
                for column, of_market in (("close", "close"), ("low", "low"), ("volume", "base_volume")):
                    np.testing.assert_allclose(page.candles[column], true[of_market], rtol=1e-3, err_msg=wish)
                assert [(one.ratio, one.after_ms) for one in listed] in ([], [(4.0, split_ms - 1)])
