"""The universe file and the primary source's listing, carried over into Postgres."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from backfill.config.settings import Settings
from backfill.config.universe_file import load_universe, select_series
from backfill.config.universe_model import SeriesWish
from backfill.domain.markets import Market
from backfill.errors import BadPayload, ConfigurationError, ExchangeUnreachable, UnknownSymbol
from backfill.exchanges.blofin_client import markets_of
from backfill.jobs.universe import declare_universe as declare
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.storage.series import Selection
from integration.helpers import (
    DAY_MS,
    HOUR_MS,
    candles,
    contents,
    held_ms,
    ms,
    one,
    opens,
    rows,
    store_bars,
    stored_ms,
)

Tell = Callable[[str], Sequence[Market]]
TWO_COINS = "instruments: [BTC-USDT, ETH-USDT]\ntimeframes: {1m: 7d, 1h: 30d}\n"
WANTED = (
    "SELECT i.symbol, s.timeframe FROM backfill.series AS s JOIN backfill.instruments AS i ON i.id = s.instrument_id "
    "WHERE s.wanted ORDER BY i.symbol, s.step_ms"
)


def told(symbol: str, list_time: str = "2024-01-01T00:00:05", **changed: Any) -> dict[str, Any]:
    """An instrument as Blofin describes it."""
    base, quote = symbol.split("-")
    return {
        "instId": symbol,
        "baseCurrency": base,
        "quoteCurrency": quote,
        "contractValue": "0.001",
        "tickSize": "0.1",
        "listTime": str(ms(list_time)),
        "expireTime": "4918462709025",
        "contractType": "linear",
        "state": "live",
        "settleCurrency": quote,
        **changed,
    }


class Exchange:
    """Tells its instruments, or fails; counts how often it is asked."""

    def __init__(self, *instruments: Mapping[str, Any]) -> None:
        self.instruments: Sequence[Mapping[str, Any]] = instruments
        self.error: Exception | None = None
        self.asked = 0

    def __call__(self, source: str) -> list[Market]:
        if source != "blofin":
            raise ExchangeUnreachable(source, "no part of this test")
        self.asked += 1
        if self.error:
            raise self.error
        return markets_of(self.instruments)


def declare_universe(
    store: CandleStore,
    settings: Settings,
    ask: Tell | None = None,
    check: Callable[[Sequence[SeriesWish]], object] = lambda _: None,
    *,
    drop: bool = True,
) -> list[SeriesWish]:
    """As `backfill declare` does it."""
    return declare.declare_universe(
        store,
        load_universe(settings.universe, settings.profile),
        ask,
        check,
        drop=drop,
        lookback_hours=settings.lookback_hours,
    )


@pytest.fixture
def exchange() -> Exchange:
    return Exchange(told("BTC-USDT"), told("ETH-USDT"), told("SOL-USDT"))


@pytest.fixture
def universe(tmp_path: Path) -> Callable[[str], Settings]:
    def settings(text: str) -> Settings:
        path = tmp_path / "universe.yaml"
        path.write_text(text)
        return Settings(universe=path)

    return settings


def let_listings_age(store: CandleStore, hours: int = 25) -> None:
    store.connection.execute(
        "UPDATE backfill.instruments SET refreshed_at = refreshed_at - %s * interval '1 hour'", (hours,)
    )


# -- the wish list -------------------------------------------------------------------------------------------


def test_every_series_of_the_file_is_wanted_with_its_terms(
    store: CandleStore, universe: Callable[[str], Settings], exchange: Exchange
) -> None:
    text = """
instruments: [BTC-USDT, ETH-USDT]
timeframes:
  1m: {history: 7d, retention: 30d}
  1h: {since: 2024-01-01}
sources: [blofin, okx]
overrides:
  ETH-USDT:
    timeframes: {1m: false, 1d: {since: 2024-01-01, until: 2025-01-01}}
    sources: [okx, blofin]
"""
    declare_universe(store, universe(text), exchange)

    sql = (
        "SELECT i.symbol, s.timeframe, s.history_ms, s.since::date::text, s.until::date::text, s.retention_ms, "
        "(SELECT array_agg(src.name ORDER BY place) FROM unnest(s.source_ids) WITH ORDINALITY AS o (id, place) "
        "JOIN backfill.sources AS src USING (id)) "
        "FROM backfill.series AS s JOIN backfill.instruments AS i ON i.id = s.instrument_id WHERE s.wanted "
        "ORDER BY i.symbol, s.step_ms"
    )
    assert rows(store.connection, sql) == [
        ("BTC-USDT", "1m", 7 * DAY_MS, None, None, 30 * DAY_MS, ["blofin", "okx"]),
        ("BTC-USDT", "1h", None, "2024-01-01", None, None, ["blofin", "okx"]),
        ("ETH-USDT", "1h", None, "2024-01-01", None, None, ["okx", "blofin"]),
        ("ETH-USDT", "1d", None, "2024-01-01", "2025-01-01", None, ["okx", "blofin"]),
    ]


def test_a_source_that_lacks_the_timeframe_does_not_keep_its_gaps_open(
    store: CandleStore, universe: Callable[[str], Settings], exchange: Exchange
) -> None:
    text = "instruments: [BTC-USDT]\ntimeframes: {1m: 7d, 8h: 7d, 1w: 90d}\nsources: [gate, okx, phemex, blofin]"
    declare_universe(store, universe(text), exchange)

    windows = {window.timeframe: window for window in store.windows(Selection(store.now()))}

    assert {name: store.source_names(window.source_ids) for name, window in windows.items()} == {
        "1m": ["gate", "okx", "phemex", "blofin"],
        "8h": ["gate", "phemex", "blofin"],
        "1w": ["gate", "okx", "blofin"],  # where the weeks of an exchange that we do not know begin is not known
    }


def test_declared_again_nothing_is_written_locked_or_numbered(
    store: CandleStore, universe: Callable[[str], Settings], exchange: Exchange, database_uri: str
) -> None:
    settings = universe(TWO_COINS)
    declare_universe(store, settings, exchange)
    versions = rows(store.connection, "SELECT id, xmin::text FROM backfill.series ORDER BY 1")

    with connect(database_uri) as writer, writer.transaction():
        writer.execute("UPDATE backfill.series SET held = held")  # as a page does, and holds the rows
        with CandleStore(connect(database_uri)) as other:
            other.connection.execute("SET lock_timeout = '60s'")
            for _ in range(3):
                declare_universe(other, settings, exchange)

    assert [id_ for id_, _ in versions] == [1, 2, 3, 4]
    sequences = "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'backfill' ORDER BY 1"
    used = dict(rows(store.connection, sequences))
    assert (used["series_id_seq"], used["instruments_id_seq"], used["sources_id_seq"]) == (4, 3, 1)


def test_a_series_that_the_file_no_longer_names_is_not_wanted_and_keeps_its_candles(
    store: CandleStore, universe: Callable[[str], Settings], exchange: Exchange
) -> None:
    declare_universe(store, universe(TWO_COINS), exchange)
    at = store.now()
    (window,) = store.windows(Selection(at, symbols=["ETH-USDT"], timeframes=["1h"]))
    hours = opens(window.end_ms - 5 * HOUR_MS, window.end_ms, HOUR_MS)
    store_bars(store, window, candles(hours))

    declare_universe(store, universe("instruments: [BTC-USDT]\ntimeframes: {1m: 7d}"), exchange)

    assert rows(store.connection, WANTED) == [("BTC-USDT", "1m")]
    assert store.windows(Selection(at, symbols=["ETH-USDT"])) == []
    assert stored_ms(store.connection, window) == hours
    declare_universe(store, universe(TWO_COINS), exchange)
    assert len(rows(store.connection, WANTED)) == 4
    (again,) = store.windows(Selection(at, symbols=["ETH-USDT"], timeframes=["1h"]))
    assert again.series_id == window.series_id
    assert sum(held.end - held.start for held in held_ms(store.connection, again)) == 5 * HOUR_MS


def test_a_longer_history_and_other_sources_take_effect_and_cost_no_candle(
    store: CandleStore, universe: Callable[[str], Settings], exchange: Exchange
) -> None:
    declare_universe(store, universe("instruments: [BTC-USDT]\ntimeframes: {1h: 2d}"), exchange)
    at = store.now()
    (before,) = store.windows(Selection(at))
    store_bars(store, before, candles(opens(before.start_ms, before.end_ms, HOUR_MS)))

    declare_universe(store, universe("instruments: [BTC-USDT]\ntimeframes: {1h: 5d}\nsources: [okx, blofin]"), exchange)

    (after,) = store.windows(Selection(at))
    assert (before.start_ms - after.start_ms, after.series_id) == (3 * DAY_MS, before.series_id)
    assert after.source_ids == [store.source_id("okx"), store.source_id("blofin")]
    assert len(stored_ms(store.connection, after)) == 48


def test_processes_that_declare_an_empty_database_at_once_agree(
    store: CandleStore, universe: Callable[[str], Settings], exchange: Exchange, database_uri: str
) -> None:
    symbols = [f"COIN{n}-USDT" for n in range(40)]
    settings = universe(f"instruments: [{', '.join(symbols)}]\ntimeframes: {{1m: 7d, 1h: 7d, 1d: 7d}}")
    offline = Exchange()
    offline.error = ExchangeUnreachable("blofin", "offline")
    listing = Exchange(*[told(symbol) for symbol in reversed(symbols)])

    def declare(which: Exchange) -> int:
        with CandleStore(connect(database_uri)) as worker:
            return len(declare_universe(worker, settings, which))

    with ThreadPoolExecutor(6) as threads:
        declared = list(threads.map(declare, [listing, offline] * 3))

    assert declared == [120] * 6
    assert one(store.connection, "SELECT count(*) FROM backfill.series WHERE wanted") == 120


def test_what_the_check_refuses_is_refused_before_anybody_is_asked_or_anything_is_written(
    store: CandleStore, universe: Callable[[str], Settings], exchange: Exchange
) -> None:
    before = contents(store.connection)

    with pytest.raises(UnknownSymbol):
        declare_universe(store, universe(TWO_COINS), exchange, lambda wishes: select_series(wishes, ["BTCUSDT"], None))

    assert exchange.asked == 0
    assert contents(store.connection) == before
    assert one(store.connection, "SELECT count(*) FROM backfill.instruments") == 0


# -- the listing ---------------------------------------------------------------------------------------------


def test_what_the_exchange_tells_of_an_instrument_is_kept(
    store: CandleStore, universe: Callable[[str], Settings], exchange: Exchange
) -> None:
    declare_universe(store, universe(TWO_COINS), exchange)

    sql = (
        "SELECT base_currency, quote_currency, settle_currency, contract_type, contract_value, tick_size, state, "
        "list_time::text FROM backfill.instruments WHERE symbol = 'BTC-USDT'"
    )
    assert rows(store.connection, sql) == [
        ("BTC", "USDT", "USDT", "linear", 0.001, 0.1, "live", "2024-01-01 00:00:05+00")
    ]


def test_the_listing_is_asked_for_once_a_day_or_when_a_new_name_turns_up(
    store: CandleStore, universe: Callable[[str], Settings], exchange: Exchange
) -> None:
    for expected in (1, 1):
        declare_universe(store, universe(TWO_COINS), exchange)
        assert exchange.asked == expected
    let_listings_age(store)
    declare_universe(store, universe(TWO_COINS), exchange)
    assert exchange.asked == 2
    declare_universe(store, universe(TWO_COINS.replace("ETH", "NEWCOIN")), exchange)
    assert exchange.asked == 3


def test_a_coin_that_the_exchange_does_not_list_is_not_asked_after_every_time(
    store: CandleStore, universe: Callable[[str], Settings], exchange: Exchange
) -> None:
    settings = universe("instruments: [BTC-USDT, GONE-USDT]\ntimeframes: {1h: 2d}")

    for _ in range(3):
        declare_universe(store, settings, exchange)

    assert exchange.asked == 1
    assert one(store.connection, "SELECT state FROM backfill.instruments WHERE symbol = 'GONE-USDT'") == "unlisted"
    exchange.instruments = [*exchange.instruments, told("GONE-USDT")]
    let_listings_age(store)
    declare_universe(store, settings, exchange)
    assert one(store.connection, "SELECT state FROM backfill.instruments WHERE symbol = 'GONE-USDT'") == "live"


def test_the_listing_time_only_ever_moves_back(
    store: CandleStore, universe: Callable[[str], Settings], exchange: Exchange
) -> None:
    settings = universe("instruments: [BTC-USDT]\ntimeframes: {1h: {since: 2023-01-01}}")
    seen: list[str] = []
    for list_time in ("2024-03-01", "2024-06-01", "2023-12-01", ""):
        exchange.instruments = [told("BTC-USDT", list_time or "2024-01-01")]
        if not list_time:
            exchange.instruments = [told("BTC-USDT", listTime="")]
        declare_universe(store, settings, exchange)
        seen.append(one(store.connection, "SELECT list_time::date::text FROM backfill.instruments"))
        let_listings_age(store)

    assert seen == ["2024-03-01", "2024-03-01", "2023-12-01", "2023-12-01"]


def test_an_exchange_that_is_offline_leaves_the_old_listing_and_a_warning(
    store: CandleStore,
    universe: Callable[[str], Settings],
    exchange: Exchange,
    caplog: pytest.LogCaptureFixture,
) -> None:
    declare_universe(store, universe(TWO_COINS), exchange)
    let_listings_age(store)
    exchange.error = ExchangeUnreachable("blofin", "no route to host")

    with caplog.at_level(logging.WARNING):
        wishes = declare_universe(store, universe(TWO_COINS.replace("ETH", "NEWCOIN")), exchange)

    assert len(wishes) == 4
    assert "no route to host" in caplog.text
    assert [symbol for symbol, _ in rows(store.connection, WANTED)] == ["BTC-USDT"] * 2 + ["NEWCOIN-USDT"] * 2
    assert one(store.connection, "SELECT refreshed_at IS NULL FROM backfill.instruments WHERE symbol = 'NEWCOIN-USDT'")


@pytest.mark.parametrize(
    "listing",
    [
        [],
        ["BTC-USDT"],
        [{"symbol": "BTC-USDT"}],
        [{"instId": None}],
        [{"instId": 7}],
        [told("BTC-USDT", contractValue="NaN")],
        [told("BTC-USDT", tickSize="1e999")],
        [told("BTC-USDT", contractValue=["1"])],
    ],
)
def test_of_a_row_that_cannot_be_read_what_is_known_stays(
    store: CandleStore, universe: Callable[[str], Settings], exchange: Exchange, listing: list[Any]
) -> None:
    declare_universe(store, universe(TWO_COINS), exchange)
    let_listings_age(store)
    before = rows(store.connection, "SELECT * FROM backfill.instruments WHERE symbol = 'BTC-USDT'")
    exchange.instruments = [told("ETH-USDT", tickSize="7"), *listing] if listing else []

    assert len(declare_universe(store, universe(TWO_COINS), exchange)) == 4

    assert rows(store.connection, "SELECT * FROM backfill.instruments WHERE symbol = 'BTC-USDT'") == before
    tick = one(store.connection, "SELECT tick_size FROM backfill.instruments WHERE symbol = 'ETH-USDT'")
    assert (tick == 7) == bool(listing), "the rows that can be read are believed"


def test_beside_a_row_that_names_itself_another_that_is_gone_is_unlisted(
    store: CandleStore, universe: Callable[[str], Settings], exchange: Exchange
) -> None:
    declare_universe(store, universe(TWO_COINS), exchange)
    let_listings_age(store)
    exchange.instruments = [told("AAA-USDT"), told("BTC-USDT", tickSize="none")]

    declare_universe(store, universe(TWO_COINS), exchange)

    states = dict(rows(store.connection, "SELECT symbol, state FROM backfill.instruments"))
    assert (states["BTC-USDT"], states["ETH-USDT"]) == ("live", "unlisted")


def test_an_instrument_told_twice_counts_once(
    store: CandleStore, universe: Callable[[str], Settings], exchange: Exchange
) -> None:
    exchange.instruments = [told("BTC-USDT"), told("ETH-USDT"), told("BTC-USDT")]

    declare_universe(store, universe(TWO_COINS), exchange)

    assert one(store.connection, "SELECT count(*) FROM backfill.instruments") == 2


# -- instruments: all ----------------------------------------------------------------------------------------

ALL = "instruments: all\nexclude: [SOL-USDT]\ntimeframes: {1h: 7d}\n"


def test_all_means_every_live_linear_usdt_perpetual(
    store: CandleStore, universe: Callable[[str], Settings], exchange: Exchange
) -> None:
    exchange.instruments = [
        *exchange.instruments,
        told("OLD-USDT", settleCurrency=""),
        told("BTC-USD", contractType="inverse", settleCurrency="BTC"),
        told("ETH-USDC"),
        told("SOON-USDT", state="suspend"),
    ]

    declare_universe(store, universe(ALL), exchange)

    assert [symbol for symbol, _ in rows(store.connection, WANTED)] == ["BTC-USDT", "ETH-USDT", "OLD-USDT"]


def test_all_follows_the_listing_from_day_to_day(
    store: CandleStore, universe: Callable[[str], Settings], exchange: Exchange
) -> None:
    declare_universe(store, universe(ALL), exchange)
    exchange.instruments = [told("BTC-USDT"), told("NEW-USDT")]
    let_listings_age(store)

    declare_universe(store, universe(ALL), exchange)

    assert [symbol for symbol, _ in rows(store.connection, WANTED)] == ["BTC-USDT", "NEW-USDT"]
    assert exchange.asked == 2


def test_all_goes_by_the_last_listing_while_the_exchange_is_offline(
    store: CandleStore, universe: Callable[[str], Settings], exchange: Exchange
) -> None:
    declare_universe(store, universe(ALL), exchange)
    let_listings_age(store)

    for error in (ExchangeUnreachable("blofin", "offline"), None):
        exchange.error, exchange.instruments = error, []  # offline, then a listing of nothing
        declare_universe(store, universe(ALL), exchange)
        assert [symbol for symbol, _ in rows(store.connection, WANTED)] == ["BTC-USDT", "ETH-USDT"]


@pytest.mark.parametrize("named_before", [False, True])
def test_all_with_nothing_to_go_by_is_an_error_and_drops_no_series(
    store: CandleStore, universe: Callable[[str], Settings], exchange: Exchange, named_before: bool
) -> None:
    exchange.error = ExchangeUnreachable("blofin", "offline")
    if named_before:
        declare_universe(store, universe(TWO_COINS), exchange)
    before = rows(store.connection, WANTED)

    with pytest.raises(ExchangeUnreachable):
        declare_universe(store, universe(ALL), exchange)
    exchange.error = None
    exchange.instruments = []
    with pytest.raises(BadPayload, match="no instrument"):
        declare_universe(store, universe(ALL), exchange)
    with pytest.raises(ConfigurationError, match="needs the primary source's list"):
        declare_universe(store, universe(ALL), None)

    assert rows(store.connection, WANTED) == before
