"""A name that the exchange uses for another listing: no candle of one is another's, and no gap lies between."""

from __future__ import annotations

from typing import Any

import pytest

from backfill.domain.price_kinds import kind_of
from backfill.domain.symbols import Listing, ListingProof
from backfill.domain.timeframes import utc
from backfill.jobs.universe.refresh_universe import _sentence
from backfill.storage.candle_store import CandleStore
from backfill.storage.instruments import InstrumentChange
from backfill.storage.series import Selection
from integration.helpers import (
    DAY_MS,
    HOUR_MS,
    NOON_MS,
    candles,
    missing_candles,
    one,
    opens,
    rows,
    store_bars,
    wanted_series,
    window_of,
)
from integration.jobs.test_declare_universe import Exchange, told
from integration.jobs.test_refresh_instruments import refresh_instruments

NAME = "LUNA-USDT"
SYMBOLS = "SELECT symbol, state FROM backfill.instruments ORDER BY id"
LOG = "SELECT instrument, what, old, new FROM backfill.instrument_log ORDER BY id"


@pytest.fixture
def now_ms() -> int:
    return NOON_MS


def hear(store: CandleStore, *listed: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The list of the moment; what is logged for it."""
    before = len(rows(store.connection, LOG))
    refresh_instruments(store, Exchange(*listed, told("BTC-USDT")), set())
    return rows(store.connection, LOG)[before:]


def listed_at(ms: int, **changed: Any) -> dict[str, Any]:
    return told(NAME, listTime=str(ms), **changed)


def last_listed(store: CandleStore, ms: int) -> None:
    sql = "UPDATE backfill.instruments SET last_listed_at = %s, refreshed_at = %s WHERE symbol = %s"
    store.connection.execute(sql, (utc(ms), utc(ms), NAME))


def old_listing(store: CandleStore, now_ms: int) -> str:
    """Listed for 20 days, ten days ago taken off the list, with a day of candles and a proved listing elsewhere."""
    hear(store, listed_at(now_ms - 30 * DAY_MS))
    window = wanted_series(store, NAME, "1h", history_ms=40 * DAY_MS, now_ms=now_ms)
    store_bars(store, window, candles(opens(now_ms - 12 * DAY_MS, now_ms - 11 * DAY_MS, HOUR_MS), close=80.0))
    listing, proof = Listing("LUNA/USDT:USDT", "perpetual", 1.0, 1.0), ListingProof(200, 1.0, True, "the same")
    store.listings.write(
        NAME, store.source_id("okx"), listing, None, proof, instrument_class="perpetual", proved_by="primary"
    )
    hear(store)
    last_listed(store, now_ms - 10 * DAY_MS)
    return NAME + utc(now_ms - 10 * DAY_MS).strftime(".until-%Y%m%d%H%M%S")


def test_a_listing_of_the_same_name_begins_with_nothing_and_asks_for_nothing_before_it(store, now_ms):
    kept_as = old_listing(store, now_ms)
    logged = hear(store, listed_at(now_ms - 2 * DAY_MS))
    assert [row[:3] for row in logged] == [(NAME, "name_reused", kept_as), (NAME, "listed", None)]
    assert set(rows(store.connection, SYMBOLS)) == {("BTC-USDT", "live"), (kept_as, "unlisted"), (NAME, "live")}

    window = wanted_series(store, NAME, "1h", history_ms=40 * DAY_MS, now_ms=now_ms)
    assert window.start_ms == now_ms - 2 * DAY_MS
    assert missing_candles(store, window, now_ms) == 48
    bars = "SELECT symbol, count(*), max(close) FROM backfill.ohlcv GROUP BY symbol"
    assert rows(store.connection, bars) == [(kept_as, 24, 80.0)]
    assert store.listings.known(NAME, store.source_id("okx")) == [], "elsewhere too the name may be another coin"


def test_the_former_listing_asks_for_nothing_more(store, now_ms):
    kept_as = old_listing(store, now_ms)
    hear(store, listed_at(now_ms - 2 * DAY_MS))
    assert store.windows(Selection(utc(now_ms), symbols=[kept_as])) == []


def test_bars_that_came_before_the_new_listing_was_noticed_are_asked_for_again_as_its_own(store, now_ms):
    """Off the list and on it again between two looks at it."""
    hear(store, listed_at(now_ms - 30 * DAY_MS))
    last_listed(store, now_ms - DAY_MS)
    window = wanted_series(store, NAME, "1h", history_ms=40 * DAY_MS, now_ms=now_ms)
    store_bars(store, window, candles(opens(now_ms - 2 * DAY_MS, now_ms, HOUR_MS)))
    logged = hear(store, listed_at(now_ms - 12 * HOUR_MS))
    assert logged[0][1] == "name_reused"
    assert logged[0][3].endswith("; 12 bars were not its own")
    stored = rows(store.connection, "SELECT count(*), max(open_time) FROM backfill.candles")
    assert stored == [(36, utc(now_ms - 13 * HOUR_MS))]
    anew = wanted_series(store, NAME, "1h", history_ms=40 * DAY_MS, now_ms=now_ms)
    assert missing_candles(store, anew, now_ms) == 12


@pytest.mark.parametrize(
    ("changed", "evidence"),
    [
        ({"settleCurrency": "USDC"}, "settled in USDC"),
        ({"baseCurrency": "LUNA2"}, "of LUNA2"),
        ({"contractType": "inverse"}, "inverse"),
    ],
)
def test_another_currency_or_kind_of_contract_is_another_listing(store, now_ms, changed, evidence):
    hear(store, listed_at(now_ms - 30 * DAY_MS))
    assert [row[3] for row in hear(store, listed_at(now_ms - 30 * DAY_MS, **changed)) if row[1] == "name_reused"] == [
        evidence
    ]


@pytest.mark.parametrize(
    "changed", [{"contractValue": "10"}, {"tickSize": "1"}, {"state": "suspend"}, {"settleCurrency": ""}]
)
def test_other_terms_are_the_same_listing(store, now_ms, changed):
    """Volumes are in coins, whatever a contract holds."""
    hear(store, listed_at(now_ms - 30 * DAY_MS))
    hear(store, listed_at(now_ms - 30 * DAY_MS, **changed))
    assert one(store.connection, "SELECT count(*) FROM backfill.instruments") == 2


def test_a_name_that_comes_back_with_its_own_listing_time_is_the_same_listing(store, now_ms):
    old_listing(store, now_ms)
    assert [row[1] for row in hear(store, listed_at(now_ms - 30 * DAY_MS))] == ["relisted"]
    window = window_of(store, NAME, "1h", now_ms=now_ms)
    assert (window.start_ms, window.end_ms) == (now_ms - 30 * DAY_MS, now_ms)


def test_a_listing_that_is_announced_and_put_off_is_the_same(store, now_ms):
    hear(store, listed_at(now_ms + 2 * DAY_MS, state="preopen"))
    last_listed(store, now_ms - HOUR_MS)
    assert hear(store, listed_at(now_ms + 2 * DAY_MS, state="preopen")) == []
    last_listed(store, now_ms - HOUR_MS)
    assert [row[1] for row in hear(store, listed_at(now_ms + 3 * DAY_MS, state="preopen"))] == ["list_time_changed"]


def test_the_same_list_again_changes_nothing(store, now_ms):
    old_listing(store, now_ms)
    hear(store, listed_at(now_ms - 2 * DAY_MS))
    before = rows(store.connection, SYMBOLS)
    assert hear(store, listed_at(now_ms - 2 * DAY_MS)) == []
    assert rows(store.connection, SYMBOLS) == before


def test_the_log_says_it_in_a_sentence():
    change = InstrumentChange(NAME, "name_reused", f"{NAME}.until-20260101000000", "settled in USDC")
    assert _sentence(change) == (
        f"{NAME} name reused (settled in USDC): what it was before is kept as {NAME}.until-20260101000000"
    )


def test_its_mark_and_index_prices_begin_anew_with_it_and_stay_prices_of_their_kind(store, now_ms):
    wished = {f"{NAME}.mark", f"{NAME}.index"}
    refresh_instruments(store, Exchange(listed_at(now_ms - 30 * DAY_MS)), wished)
    store.connection.execute("UPDATE backfill.instruments SET last_listed_at = %s", (utc(now_ms - 10 * DAY_MS),))
    refresh_instruments(store, Exchange(listed_at(now_ms - 2 * DAY_MS)), wished)
    kept_as = NAME + utc(now_ms - 10 * DAY_MS).strftime(".until-%Y%m%d%H%M%S")
    assert {symbol for symbol, _ in rows(store.connection, SYMBOLS)} == {
        *(NAME, *wished),
        *(kept_as, f"{kept_as}.mark", f"{kept_as}.index"),
    }
    assert [kind_of(f"{kept_as}{suffix}") for suffix in ("", ".mark", ".index")] == ["trade", "mark", "index"]
