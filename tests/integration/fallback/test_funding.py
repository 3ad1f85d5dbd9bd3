"""Funding rates of perpetuals: whole between events although their interval changes, and asked for once."""

from __future__ import annotations

from pathlib import Path

import pytest

from backfill.config.settings import Settings
from backfill.domain.timeframes import utc
from backfill.jobs.fill.fill_universe import windows_to_fill
from backfill.jobs.maintain.keep_funding import FundingReport, keep_funding
from backfill.paper.coins import LIQUID_COINS
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.storage.candle_store import CandleStore
from integration.fallback.conftest import Open, Venues
from integration.helpers import DAY_MS, HOUR_MS, NOW_MS, rows

# Eight hours, from 40 days ago on four, from 10 days ago on one.
CHANGES = ((0, 8 * HOUR_MS), (NOW_MS - 40 * DAY_MS, 4 * HOUR_MS), (NOW_MS - 10 * DAY_MS, HOUR_MS))
DAYS = 60


class ForgetfulMarket(SyntheticMarket):
    """Leaves payments out of its answers."""

    funding_intervals = CHANGES
    forgotten: frozenset[int] = frozenset()

    def funding(self, symbol: str, start_ms: int, end_ms: int) -> list[tuple[int, float]]:
        return [paid for paid in super().funding(symbol, start_ms, end_ms) if paid[0] not in self.forgotten]


@pytest.fixture
def market() -> ForgetfulMarket:
    return ForgetfulMarket(coins=LIQUID_COINS[:2])


def declare(venues: Venues, folder: Path, source: str) -> None:
    file = folder / "universe.yaml"
    file.write_text(
        f"instruments: [BTC-USDT, ETH-USDT, BTC-USDT.mark]\nsources: [{source}]\nfunding: {DAYS}d\n"
        "timeframes: {1h: {since: 2026-03-09, until: 2026-03-10}}\n"
    )
    venues.settings = Settings(universe=file)
    with venues.open_runtime() as runtime:
        windows_to_fill(runtime)


def keep(venues: Venues, now_ms: int = NOW_MS) -> FundingReport:
    with venues.open_runtime() as runtime:
        return keep_funding(runtime, "run", utc(now_ms))


def stored(store: CandleStore, symbol: str) -> list[tuple[int, float]]:
    sql = "SELECT backfill.epoch_ms(funding_time), rate FROM backfill.funding WHERE symbol = %s ORDER BY 1"
    return rows(store.connection, sql, (symbol,))


@pytest.mark.parametrize(("source", "pages"), [("blofin", 5), ("okx", 5), ("bybit", 3), ("binanceusdm", 2)])
def test_a_history_with_two_changes_of_the_interval_is_whole(
    store: CandleStore, venues: Venues, opened: Open, market: ForgetfulMarket, tmp_path: Path, source: str, pages: int
) -> None:
    venues.replace(source, opened(source, market))
    declare(venues, tmp_path, source)

    report = keep(venues)

    assert (report.instruments, report.requests, report.left) == (2, 2 * pages, [])
    since_ms = NOW_MS - DAYS * DAY_MS
    for symbol in ("BTC-USDT", "ETH-USDT"):
        # Binance's are a few milliseconds late.
        kept = [(ms - ms % HOUR_MS, rate) for ms, rate in stored(store, symbol) if ms >= since_ms]
        assert kept == [(ms, pytest.approx(rate)) for ms, rate in market.funding(symbol, since_ms, NOW_MS)]
    intervals = "SELECT DISTINCT extract(epoch FROM interval)::int / 3600 FROM backfill.funding WHERE funding_time > %s"
    assert sorted(rows(store.connection, intervals, (utc(since_ms),))) == [(1,), (4,), (8,)]
    limited = "SELECT cardinality(recent_ms) FROM backfill.rate_budgets WHERE pool = 'funding'"
    assert rows(store.connection, limited) == ([(2 * pages,)] if source == "binanceusdm" else [])

    assert keep(venues).requests == 0


def test_the_next_payment_costs_one_request_once_it_is_due(
    store: CandleStore, venues: Venues, opened: Open, market: ForgetfulMarket, tmp_path: Path
) -> None:
    later_ms = NOW_MS + HOUR_MS + 15 * 60_000
    venues.replace("blofin", opened("blofin", market))
    declare(venues, tmp_path, "blofin")
    keep(venues)
    venues.replace("blofin", opened("blofin", market, clock=lambda: later_ms))

    assert keep(venues, NOW_MS + HOUR_MS // 2).requests == 0
    report = keep(venues, later_ms)

    assert (report.requests, report.stored, report.left) == (2, 2, [])  # of two instruments


def test_a_payment_left_out_of_an_answer_is_missed_and_asked_for_again(
    store: CandleStore, venues: Venues, opened: Open, market: ForgetfulMarket, tmp_path: Path
) -> None:
    lost_ms = CHANGES[1][0] // (4 * HOUR_MS) * 4 * HOUR_MS + 5 * DAY_MS
    market.forgotten = frozenset({lost_ms})
    venues.replace("blofin", opened("blofin", market))
    declare(venues, tmp_path, "blofin")

    report = keep(venues)

    before = utc(lost_ms + 4 * HOUR_MS)
    what = f"1 spans may lack a payment, the newest before {before:%F %R} UTC"
    assert report.left == [f"BTC-USDT: {what}", f"ETH-USDT: {what}"]
    market.forgotten = frozenset()
    report = keep(venues)
    assert (report.requests, report.stored, report.left) == (2, 2, [])


def test_an_interval_that_has_just_become_longer_is_believed_where_the_venue_names_it(
    store: CandleStore, venues: Venues, opened: Open, market: ForgetfulMarket, tmp_path: Path
) -> None:
    changed_ms = (NOW_MS - 9 * HOUR_MS) // (8 * HOUR_MS) * 8 * HOUR_MS
    now_ms = changed_ms + 9 * HOUR_MS
    market.funding_intervals = ((0, 4 * HOUR_MS), (changed_ms, 8 * HOUR_MS))
    venues.replace("binanceusdm", opened("binanceusdm", market, clock=lambda: now_ms))
    declare(venues, tmp_path, "binanceusdm")
    report = keep(venues, now_ms)
    assert (report.requests, report.left) == (2 * (2 + 1), [])
    assert keep(venues, now_ms).requests == 0


def test_without_a_word_in_the_universe_no_funding_is_asked_for(
    store: CandleStore, venues: Venues, opened: Open, market: ForgetfulMarket, tmp_path: Path
) -> None:
    declare(venues, tmp_path, "blofin")
    file = tmp_path / "universe.yaml"
    file.write_text(file.read_text().replace(f"funding: {DAYS}d\n", ""))
    assert keep(venues).totals() == {"instruments": 0, "requests": 0, "stored": 0, "left": 0}
