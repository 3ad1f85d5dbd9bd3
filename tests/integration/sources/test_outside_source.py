"""A source written outside the package, in one file: the kit, fills as primary and as stand-in, refusals."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backfill.config.source_names import is_source, why_no_source
from backfill.config.universe_file import load_universe
from backfill.domain.venues import venue
from backfill.errors import ConfigurationError
from backfill.paper.limits import NO_LIMITS
from backfill.paper.server import PaperExchange
from backfill.storage.candle_store import CandleStore
from backfill.testing.source_contract import SourceContract
from integration.exchange import candles_in_market
from integration.fallback.conftest import MARKET, Venues, open_exchange
from integration.fallback.fills import health, run, sources_stored, want
from integration.helpers import NOW_MS, one, rows
from integration.sources.outside import EXAMPLES, installed

sys.path.insert(0, str(EXAMPLES))
from tidemark_paper import TidemarkProtocol
from tidemark_source import SOURCE

sys.path.remove(str(EXAMPLES))


class TestTidemark(SourceContract):
    registered = SOURCE
    protocol = TidemarkProtocol


@pytest.fixture
def tidemark(tmp_path: Path) -> Iterator[PaperExchange]:
    with (
        installed(tmp_path, {"tidemark": "tidemark_source:SOURCE"}),
        PaperExchange(MARKET, TidemarkProtocol(), limits=NO_LIMITS, clock=lambda: NOW_MS) as exchange,
    ):
        yield exchange


@pytest.fixture
def venues(database_uri: str, tidemark: PaperExchange) -> Iterator[Venues]:
    with open_exchange("blofin") as blofin:
        yield Venues(database_uri, {"tidemark": tidemark, "blofin": blofin})


def test_its_name_is_a_source_only_while_it_is_installed(tmp_path: Path) -> None:
    assert not is_source("tidemark")
    with installed(tmp_path, {"tidemark": "tidemark_source:SOURCE"}):
        assert is_source("tidemark")
        assert "did you mean tidemark" in why_no_source("tidemarc")
        assert venue("tidemark").rows_per_page == 500
        universe = tmp_path / "universe.yaml"
        universe.write_text("instruments: [BTC-USDT]\nsources: [tidemark, blofin]\ntimeframes: {1m: 7d}\n")
        assert load_universe(universe).sources == ("tidemark", "blofin")
    assert not is_source("tidemark")


def test_as_primary_it_fills_the_whole_series(store: CandleStore, venues: Venues) -> None:
    window = want(store, sources=("tidemark", "blofin"))
    (report,) = run(venues, [window])
    assert report.missing_after == 0
    assert sources_stored(store, window) == {"tidemark": 360}
    assert venues.asked("blofin") == 0
    stored = rows(
        store.connection,
        "SELECT (extract(epoch FROM open_time) * 1000)::bigint, open, high, low, close, volume "
        "FROM backfill.candles WHERE series_id = %s ORDER BY 1",
        (window.series_id,),
    )
    market = candles_in_market(MARKET, window)
    assert [row[:5] for row in stored] == [bar[:5] for bar in market]
    assert [row[5] for row in stored] == pytest.approx([bar[5] for bar in market], rel=1e-9)  # coins, not contracts
    # One page to fill it, and one for the list of markets.
    assert venues.asked("tidemark") == 2


def test_it_stands_in_once_its_listing_is_proved(store: CandleStore, venues: Venues) -> None:
    window = want(store, sources=("blofin", "tidemark"))
    run(venues, [window])
    store.connection.execute(
        "DELETE FROM backfill.candles WHERE series_id = %s AND open_time >= to_timestamp(%s / 1e3)",
        (window.series_id, window.end_ms - 90 * 60_000),
    )
    with venues.refusing("blofin"):
        run(venues, [window])
    assert sources_stored(store, window) == {"blofin": 270, "tidemark": 90}
    assert (
        one(store.connection, "SELECT status FROM backfill.listings WHERE venue_symbol = 'BTC_USDT_PERP'") == "proved"
    )


def test_its_outage_opens_the_breaker_and_its_limit_pauses_the_budget(store: CandleStore, venues: Venues) -> None:
    window = want(store, sources=("tidemark", "blofin"))
    venues["tidemark"].faults.on("geo_block")
    run(venues, [window])
    assert health(store)["tidemark"] == "open"
    assert sources_stored(store, window) == {}  # nothing proves what Blofin lists, but for the primary's own bars
    venues["tidemark"].faults.off()
    store.connection.execute("DELETE FROM backfill.source_health")
    run(venues, [window])
    venues["tidemark"].faults.on("limited_7s")
    (lost,) = run(venues, [want(store, "ETH-USDT", sources=("tidemark",))])
    assert lost.missing_after == 360
    paused = "SELECT pause_reason FROM backfill.rate_budgets WHERE paused_until > clock_timestamp()"
    assert "tidemark" in one(store.connection, paused)


def test_a_row_that_it_sends_broken_goes_to_quarantine(store: CandleStore, venues: Venues) -> None:
    window = want(store, sources=("tidemark",))
    bad_ms = window.end_ms - 120 * 60_000
    venues["tidemark"].faults.on("high_below_low", opens_ms=[bad_ms])
    run(venues, [window])
    rule, source = rows(
        store.connection,
        "SELECT rule, s.name FROM backfill.quarantine AS q JOIN backfill.sources AS s ON s.id = q.source_id",
    )[0]
    assert (rule, source) == ("high_is_not_highest", "tidemark")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("no_such_module:SOURCE", "cannot be imported"),
        ("tidemark_source:NOTHING", "cannot be imported"),
        ("tidemark_source:TidemarkClient", "Venue"),
    ],
)
def test_a_registration_that_leads_nowhere_is_refused_by_name(tmp_path: Path, value: str, said: str) -> None:
    with installed(tmp_path, {"seaweed": value}), pytest.raises(ConfigurationError, match=f"'seaweed'.*{said}"):
        venue("seaweed")


def test_two_packages_may_not_register_one_name(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    with (
        installed(first, {"tidemark": "tidemark_source:SOURCE"}),
        installed(second, {"tidemark": "other:SOURCE"}, "others"),
        pytest.raises(ConfigurationError, match="several packages register it"),
    ):
        venue("tidemark")


def test_a_name_of_the_table_is_never_taken_over(tmp_path: Path) -> None:
    with installed(tmp_path, {"okx": "tidemark_source:SOURCE"}):
        assert venue("okx").client == "ccxt"


def test_the_names_are_known_without_importing_anything(tmp_path: Path) -> None:
    before: Any = set(sys.modules)
    with installed(tmp_path, {"seaweed": "no_such_module:SOURCE"}):
        assert is_source("seaweed")
    assert set(sys.modules) == before
