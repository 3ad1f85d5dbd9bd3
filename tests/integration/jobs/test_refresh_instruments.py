"""The primary source's list from day to day: the log of it, the end of what is gone, and who is young."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from backfill.config.connections import SourceConnection
from backfill.config.settings import Settings
from backfill.domain.markets import Market
from backfill.domain.venues import venue
from backfill.errors import ExchangeUnreachable
from backfill.exchanges.blofin_client import markets_of
from backfill.jobs.universe import refresh_instruments as refreshing
from backfill.jobs.universe.refresh_universe import RefreshReport, refresh_universe
from backfill.sources.runtime import Runtime
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.storage.series import Selection
from integration.exchange import PaperBlofin, fill
from integration.helpers import DAY_MS, HOUR_MS, candles, ms, one, opens, rows, store_bars, wanted_series
from integration.jobs.test_declare_universe import Exchange, Tell, declare_universe, told


def refresh_instruments(store: CandleStore, ask: Tell, wished: set[str]) -> None:
    """Write down all that Blofin lists, and what of these it does not."""
    refreshing.refresh_instruments(store, ask, venue("blofin"), dict.fromkeys(wished, False), keep_all=True)


LOG = "SELECT instrument, what, old, new FROM backfill.instrument_log ORDER BY id"
ALL = "instruments: all\ntimeframes: {1h: 2d}\n"


@pytest.fixture
def refresh(store: CandleStore) -> Callable[..., list[tuple[Any, ...]]]:
    """Tell the list that names these (symbols or descriptions); what has been logged for it."""

    def tell(*listed: str | dict[str, Any], wished: set[str] = frozenset()) -> list[tuple[Any, ...]]:  # type: ignore[assignment]
        before = len(rows(store.connection, LOG))
        exchange = Exchange(*[told(one) if isinstance(one, str) else one for one in listed])
        refresh_instruments(store, exchange, set(wished))
        return rows(store.connection, LOG)[before:]

    return tell


@pytest.fixture
def universe(tmp_path: Path) -> Callable[[str], Settings]:
    def settings(text: str) -> Settings:
        path = tmp_path / "universe.yaml"
        path.write_text(text)
        return Settings(universe=path)

    return settings


Refresh = Callable[..., list[tuple[Any, ...]]]


# -- the log -------------------------------------------------------------------------------------------------


def test_each_change_is_logged_once_and_what_stays_the_same_is_not(refresh: Refresh) -> None:
    assert refresh("BTC-USDT") == [("BTC-USDT", "listed", None, "live")]
    assert refresh("BTC-USDT") == []
    changed = told(
        "BTC-USDT",
        contractValue="0.01",
        tickSize="0.5",
        state="suspend",
        listTime=str(ms("2023-01-01")),
        expireTime=str(ms("2026-04-01")),
    )
    assert sorted(refresh(changed)) == [
        ("BTC-USDT", "contract_value_changed", "0.001", "0.01"),
        ("BTC-USDT", "expire_time_changed", "2125-11-10 15:38:29.025+00", "2026-04-01 00:00:00+00"),
        ("BTC-USDT", "list_time_changed", "2024-01-01 00:00:05+00", "2023-01-01 00:00:00+00"),
        ("BTC-USDT", "state_changed", "live", "suspend"),
        ("BTC-USDT", "tick_size_changed", "0.1", "0.5"),
    ]
    assert refresh(changed) == []


def test_a_listing_time_that_moves_forward_is_logged_although_the_bound_stays(
    refresh: Refresh, store: CandleStore
) -> None:
    refresh(told("BTC-USDT", "2022-12-01"))

    logged = refresh(told("BTC-USDT", "2023-01-12"))

    assert logged == [("BTC-USDT", "list_time_changed", "2022-12-01 00:00:00+00", "2023-01-12 00:00:00+00")]
    assert one(store.connection, "SELECT list_time::date::text FROM backfill.instruments") == "2022-12-01"


def test_what_the_list_no_longer_names_is_delisted_and_may_come_back(refresh: Refresh, store: CandleStore) -> None:
    refresh("BTC-USDT", "GONE-USDT")

    assert refresh("BTC-USDT") == [("GONE-USDT", "delisted", "live", "unlisted")]
    assert refresh("BTC-USDT") == []
    assert refresh("BTC-USDT", "GONE-USDT") == [("GONE-USDT", "relisted", "unlisted", "live")]
    assert one(store.connection, "SELECT count(*) FROM backfill.instruments") == 2


def test_what_was_never_listed_has_no_history_to_log(refresh: Refresh) -> None:
    assert refresh("BTC-USDT", wished={"NEVER-USDT"}) == [("BTC-USDT", "listed", None, "live")]
    assert refresh("BTC-USDT", "NEVER-USDT") == [("NEVER-USDT", "listed", None, "live")]


def test_a_coin_that_goes_as_another_scale_of_it_comes_is_called_renamed(refresh: Refresh, store: CandleStore) -> None:
    refresh("BTC-USDT", "BONK-USDT", "SATS-USDT", "CAT-USDT", "ONE-USDT")
    old = wanted_series(store, "BONK-USDT")
    store_bars(store, old, candles(opens(old.start_ms, old.end_ms)))
    wanted_series(store, "1000BONK-USDT")

    logged = refresh("BTC-USDT", "1000BONK-USDT", "1000SATS-USDT", "10000SATS-USDT", "DOG-USDT", "1000ONE-USDC")

    assert [row for row in logged if row[1] == "renamed"] == [("BONK-USDT", "renamed", "BONK-USDT", "1000BONK-USDT")]
    assert {row[0] for row in logged if row[1] == "delisted"} == {"BONK-USDT", "SATS-USDT", "CAT-USDT", "ONE-USDT"}
    assert len([row for row in logged if row[1] == "listed"]) == 5
    # A hint for a person: no history is carried over.
    held = "SELECT i.symbol FROM backfill.series AS s JOIN backfill.instruments AS i ON i.id = s.instrument_id WHERE "
    assert rows(store.connection, held + "s.held <> '{}'") == [("BONK-USDT",)]


def test_refreshes_at_once_log_each_change_once(store: CandleStore, database_uri: str, refresh: Refresh) -> None:
    refresh(*[f"OLD{n}-USDT" for n in range(30)], "BTC-USDT")
    listing = Exchange(*[told(f"NEW{n}-USDT") for n in range(30)], told("BTC-USDT", contractValue="0.5"))

    def ask(_: int) -> None:
        with CandleStore(connect(database_uri)) as worker:
            refresh_instruments(worker, listing, set())

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(ask, range(12)))

    counts = dict(rows(store.connection, "SELECT what, count(*) FROM backfill.instrument_log GROUP BY 1"))
    assert counts == {"listed": 61, "delisted": 30, "contract_value_changed": 1}


def test_an_answer_that_was_asked_for_before_a_newer_one_changes_nothing(store: CandleStore, refresh: Refresh) -> None:
    refresh("BTC-USDT")

    def slow(_: str) -> list[Market]:
        refresh("BTC-USDT", "NEW-USDT")  # another worker asks later and is answered sooner
        return markets_of([told("BTC-USDT", contractValue="7")])

    refresh_instruments(store, slow, set())

    sql = "SELECT symbol, state, contract_value FROM backfill.instruments ORDER BY 1"
    assert rows(store.connection, sql) == [("BTC-USDT", "live", 0.001), ("NEW-USDT", "live", 0.001)]
    assert [row[1] for row in rows(store.connection, LOG)] == ["listed", "listed"]


def test_another_contract_value_makes_the_proofs_of_listings_due(store: CandleStore, refresh: Refresh) -> None:
    refresh("BTC-USDT")
    okx = store.source_id("okx")
    store.connection.execute(
        "INSERT INTO backfill.listings (instrument_id, source_id, venue_symbol, instrument_class, price_scale, "
        "volume_scale, status, contract_value) SELECT id, %s, 'BTC-USDT-SWAP', 'perpetual', 1, 1, 'proved', "
        "contract_value FROM backfill.instruments",
        (okx,),
    )
    from backfill.storage.named_queries import query

    def is_due() -> bool:
        with store.connection.cursor() as cursor:
            row = cursor.execute(
                query("instruments/select_listing"), {"symbol": "BTC-USDT", "source_id": okx}
            ).fetchone()
            assert row is not None
            return not row[-1]

    assert not is_due()
    refresh(told("BTC-USDT", contractValue="0.01"))
    assert is_due()


# -- the end of what is gone ---------------------------------------------------------------------------------


def delist(store: CandleStore, symbol: str, seen_ms: int) -> None:
    store.connection.execute(
        "UPDATE backfill.instruments SET state = 'unlisted', last_listed_at = to_timestamp(%s / 1000.0), "
        "refreshed_at = now() WHERE symbol = %s",
        (seen_ms, symbol),
    )


def state_of(store: CandleStore) -> dict[str, Any]:
    (row,) = store.rows("series/select_sync_status", Selection(store.now()))
    return row


@pytest.fixture
def gone(store: CandleStore) -> int:
    """BTC-USDT was seen listed until five hours ago, and its bars are there until then; the last full hour in ms."""
    now_ms = round(store.now().timestamp() * 1000)
    window = wanted_series(store, timeframe="1h", history_ms=2 * DAY_MS, now_ms=now_ms)
    end_ms = window.end_ms - 5 * HOUR_MS
    store_bars(store, window, candles(opens(end_ms - 2 * DAY_MS, end_ms, HOUR_MS)))
    delist(store, "BTC-USDT", end_ms + 1000)
    return end_ms


def test_what_is_no_longer_listed_is_whole_up_to_where_it_was_last_seen(store: CandleStore, gone: int) -> None:
    (window,) = store.windows(Selection(store.now()))

    assert (window.start_ms, window.end_ms) == (gone - 2 * DAY_MS, gone)
    row = state_of(store)
    assert (row["status"], row["missing_candles"], row["coverage_pct"]) == ("complete", 0, 100)


def test_a_candle_of_its_primary_is_a_sighting_and_one_of_somebody_else_is_not(store: CandleStore, gone: int) -> None:
    delist(store, "BTC-USDT", gone - 10 * HOUR_MS)
    (window,) = store.windows(Selection(store.now()))
    assert window.end_ms == gone

    store.connection.execute("UPDATE backfill.series SET source_ids = source_ids || %s", ([store.source_id("okx")],))
    (window,) = store.windows(Selection(store.now()))
    store_bars(store, window, candles([gone, gone + HOUR_MS]), source="okx")

    assert store.windows(Selection(store.now()))[0].end_ms == gone


def test_an_instrument_that_the_exchange_denies_to_know_is_looked_up_at_once(
    store: CandleStore, universe: Callable[[str], Settings], exchange: PaperBlofin
) -> None:
    settings = universe("instruments: [BTC-USDT, GONE-USDT]\ntimeframes: {1h: 2d}")
    listing = Exchange(told("BTC-USDT"), told("GONE-USDT"))
    declare_universe(store, settings, listing)
    (window,) = store.windows(Selection(store.now(), symbols=["GONE-USDT"]))
    listing.instruments = [told("BTC-USDT")]
    exchange.behave(now_ms=None)

    assert fill(store, exchange, window).status == "failed"  # the paper exchange does not know it
    for _ in range(3):
        declare_universe(store, settings, listing)
    assert fill(store, exchange, window).status == "failed"
    declare_universe(store, settings, listing)

    assert listing.asked == 2
    assert one(store.connection, "SELECT state FROM backfill.instruments WHERE symbol = 'GONE-USDT'") == "unlisted"


def test_listed_again_it_goes_on_and_the_time_between_is_asked_for(store: CandleStore, gone: int) -> None:
    refresh_instruments(store, Exchange(told("BTC-USDT")), set())

    assert state_of(store)["missing_candles"] == 5


def test_a_primary_other_than_blofin_is_not_bound_by_what_blofin_lists(store: CandleStore, gone: int) -> None:
    store.connection.execute("UPDATE backfill.series SET source_ids = %s", ([store.source_id("binance")],))
    store.connection.execute(
        "UPDATE backfill.instruments SET list_time = now(), expire_time = now() - interval '1 day'"
    )

    (window,) = store.windows(Selection(store.now()))

    assert window.end_ms - window.start_ms == 2 * DAY_MS
    assert window.end_ms >= gone + 5 * HOUR_MS


def test_what_was_wished_for_and_never_listed_is_not_called_whole(
    store: CandleStore, universe: Callable[[str], Settings]
) -> None:
    settings = universe("instruments: [NEVER-USDT]\ntimeframes: {1h: 2d}")

    declare_universe(store, settings, Exchange(told("BTC-USDT")))

    assert state_of(store)["missing_candles"] == 48


# -- the task ------------------------------------------------------------------------------------------------


def test_the_task_asks_although_the_list_is_fresh_and_follows_it(
    database_uri: str, universe: Callable[[str], Settings], exchange: PaperBlofin
) -> None:
    settings = universe(ALL)
    with Runtime(database_uri, settings, lambda _: SourceConnection(base_url=exchange.url)) as runtime:
        first = refresh_universe(runtime)
        again = refresh_universe(runtime)
        runtime.store.connection.execute("UPDATE backfill.instruments SET contract_value = 5 WHERE symbol = 'BTC-USDT'")
        after_that = refresh_universe(runtime)
    settings.universe.write_text(ALL + "exclude: [YOUNG-USDT]\n")
    kept, dropped = (
        _refreshed(database_uri, settings.model_copy(update={"drop_series": drop}), exchange) for drop in (False, True)
    )

    assert (len(first.changes), first.series, first.ended) == (4, 4, [])
    assert "YOUNG-USDT" in first.added
    assert again == RefreshReport([], 4, [], [])
    assert [line.split(":")[0] for line in after_that.lines] == ["BTC-USDT contract value changed"]
    assert kept.ended == [], "a file that names fewer series drops none by itself"
    assert dropped.ended == ["YOUNG-USDT"]


def _refreshed(database_uri: str, settings: Settings, exchange: PaperBlofin) -> RefreshReport:
    with Runtime(database_uri, settings, lambda _: SourceConnection(base_url=exchange.url)) as runtime:
        return refresh_universe(runtime)


def test_the_task_fails_if_the_exchange_does_not_tell(
    database_uri: str, universe: Callable[[str], Settings], exchange: PaperBlofin
) -> None:
    settings = universe("instruments: [BTC-USDT]\ntimeframes: {1h: 2d}")
    nowhere = SourceConnection(base_url="http://127.0.0.1:9", timeout_s=0.1)
    with Runtime(database_uri, settings, lambda _: nowhere) as runtime, pytest.raises(ExchangeUnreachable):
        refresh_universe(runtime)
