"""Mark and index prices beside the trades: own series, no volume, whole from each venue that has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backfill.config.settings import Settings
from backfill.config.universe_model import Validation
from backfill.domain.price_kinds import contract_of, kind_of
from backfill.domain.timeframes import utc
from backfill.jobs.fill.fill_universe import windows_to_fill
from backfill.jobs.maintain.audit import audit
from backfill.jobs.validate.validate_series import ValidationReport
from backfill.jobs.validate.validate_universe import validate_universe
from backfill.paper.coins import LIQUID_COINS
from backfill.paper.market import prices_of
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import SeriesWindow
from integration.exchange import WHO, candles_in_database, punch
from integration.fallback.conftest import Open, Venues
from integration.fallback.fills import run, sources_stored
from integration.helpers import HOUR_MS, moment, ms, one, opens, rows

COINS = LIQUID_COINS[:20]
SINCE, UNTIL = "2026-03-10T08:00Z", "2026-03-10T10:30Z"
LONG_SINCE = "2026-03-10T03:00Z"
MARKET = SyntheticMarket(coins=COINS)


def settings_for(folder: Path, symbols: list[str], *sources: str, since: str = SINCE) -> Settings:
    file = folder / "universe.yaml"
    file.write_text(
        f"instruments: [{', '.join(symbols)}]\nsources: [{', '.join(sources)}]\n"
        f"timeframes: {{1m: {{since: {since}, until: {UNTIL}}}}}\n"
    )
    return Settings(universe=file)


@pytest.mark.parametrize("venue", ["blofin", "okx", "bybit", "binanceusdm"])
@pytest.mark.long
def test_mark_and_index_of_twenty_instruments_are_whole(
    store: CandleStore, venues: Venues, opened: Open, tmp_path: Path, venue: str
) -> None:
    venues.replace(venue, opened(venue, MARKET))
    symbols = [f"{coin.instrument.symbol}.{kind}" for coin in COINS for kind in ("mark", "index")]
    venues.settings = settings_for(tmp_path, symbols, venue)
    with venues.open_runtime() as runtime:
        windows = windows_to_fill(runtime)
    assert len(windows) == 40

    reports = run(venues, windows)

    pages = 2 if venue == "okx" else 1  # 150 minutes
    assert [(r.status, r.missing_before, r.missing_after) for r in reports] == [("complete", 150, 0)] * 40
    assert sum(report.requests_planned for report in reports) == 40 * pages
    assert one(store.connection, "SELECT count(*) FROM backfill.quarantine") == 0
    view = venues[venue].market
    for window in windows:
        contract = contract_of(window.symbol)
        trades = view.candles(contract, "1m", window.start_ms, window.end_ms)
        prices = prices_of(trades, kind_of(window.symbol), view.instrument(contract).tick_size)
        stored = candles_in_database(store, window)
        assert [row[0] for row in stored] == prices["open_ms"].tolist()
        assert np.allclose([row[4] for row in stored], prices["close"], rtol=1e-9)
        assert {row[5:] for row in stored} == {(None, None)}


def test_a_lost_mark_price_is_a_gap_of_its_own_series(store: CandleStore, venues: Venues, tmp_path: Path) -> None:
    venues.settings = settings_for(tmp_path, ["BTC-USDT", "BTC-USDT.mark", "BTC-USDT.index"], "blofin", "okx")
    with venues.open_runtime() as runtime:
        windows = windows_to_fill(runtime)
    run(venues, windows)
    trade, index, mark = windows
    assert [window.symbol for window in windows] == ["BTC-USDT", "BTC-USDT.index", "BTC-USDT.mark"]
    first_ms = ms("2026-03-10T09:00")
    punch(store, mark, opens(first_ms, first_ms + HOUR_MS // 2))
    venues.forget_counts()

    reports = run(venues, windows)

    assert [(report.missing_before, report.missing_after, report.requests) for report in reports] == [
        (0, 0, 0),
        (0, 0, 0),
        (30, 0, 1),
    ]
    assert (
        sources_stored(store, mark) == sources_stored(store, index) == sources_stored(store, trade) == {"blofin": 150}
    )


def test_another_venues_mark_price_stands_in_once_its_listing_is_proved(
    store: CandleStore, venues: Venues, tmp_path: Path
) -> None:
    venues.settings = settings_for(tmp_path, ["BTC-USDT.mark"], "blofin", "okx")
    with venues.open_runtime() as runtime:
        (window,) = windows_to_fill(runtime)
    run(venues, [window])
    punch(store, window, opens(window.end_ms - HOUR_MS, window.end_ms))

    with venues.refusing("blofin"):
        (report,) = run(venues, [window])

    assert (report.status, report.sources) == ("complete", {"okx": 60})
    assert sources_stored(store, window) == {"blofin": 90, "okx": 60}


def test_a_series_without_volume_is_validated_and_audited_without_a_finding(
    store: CandleStore, venues: Venues, tmp_path: Path
) -> None:
    venues.settings = settings_for(tmp_path, ["BTC-USDT.mark", "BTC-USDT.index"], "blofin")
    with venues.open_runtime() as runtime:
        windows = windows_to_fill(runtime)
    run(venues, windows)

    with venues.open_runtime() as runtime:
        at = utc(windows[0].end_ms + HOUR_MS)
        reports = list(validate_universe(runtime, windows, WHO, Validation(), at=at))
        audit(runtime.store)
    assert len(reports) == 2

    assert rows(store.connection, "SELECT kind, verdict FROM backfill.findings WHERE status = 'open'") == []
    assert one(store.connection, "SELECT count(*) FROM backfill.candles") == 300


def test_a_mark_price_is_compared_with_index_and_trades(store: CandleStore, venues: Venues, tmp_path: Path) -> None:
    names = ["BTC-USDT", "BTC-USDT.index", "BTC-USDT.mark"]
    venues.settings = settings_for(tmp_path, names, "blofin", since=LONG_SINCE)
    with venues.open_runtime() as runtime:
        trade, index, mark = windows_to_fill(runtime)
    run(venues, [trade, index, mark])

    def validated(*windows: SeriesWindow) -> dict[str, ValidationReport]:
        with venues.open_runtime() as runtime:
            at = utc(mark.end_ms + HOUR_MS)
            return {one.symbol: one for one in validate_universe(runtime, windows, WHO, Validation(), at=at)}

    def spoil(open_time: str, source: str) -> None:
        spoiled = (
            "UPDATE backfill.candles SET (open, high, low, close) = (1.01*open, 1.01*high, 1.01*low, 1.01*close), "
            "source_id = %s WHERE series_id = %s AND open_time = %s"
        )
        store.connection.execute("SET session_replication_role = replica")
        store.connection.execute(spoiled, (store.source_id(source), mark.series_id, open_time))
        store.connection.execute("RESET session_replication_role")

    reports = validated(trade, index, mark)
    assert [report.open_findings for report in reports.values()] == [{}, {}, {}]
    assert reports["BTC-USDT"].resolves_pct == {}
    assert sorted(reports["BTC-USDT.mark"].resolves_pct) == ["BTC-USDT", "BTC-USDT.index"]
    assert 0 < max(reports["BTC-USDT.mark"].resolves_pct.values()) < 0.5

    # What the exchange corrects is mended; what a person has put there stays, and is told.
    spoil("2026-03-10T06:00Z", "blofin")
    spoil("2026-03-10T07:00Z", "manual")
    assert validated(mark)["BTC-USDT.mark"].open_findings == {"price_basis": 1}
    found = (
        "SELECT verdict, start_time, detail->>'beside' FROM backfill.findings "
        "WHERE kind = 'price_basis' AND status = %s"
    )
    ((verdict, at, beside),) = rows(store.connection, found, ("open",))
    assert (verdict, at, beside in names[:2]) == ("disagree", moment("2026-03-10T07:00"), True)
    assert one(store.connection, "SELECT count(*) FROM backfill.revisions") == 1
    assert validated(index)["BTC-USDT.index"].open_findings == {}  # it agrees with the trades

    # Beside one other price alone either may be wrong.
    store.connection.execute("DELETE FROM backfill.candles WHERE series_id = %s", (index.series_id,))
    assert validated(mark)["BTC-USDT.mark"].open_findings == {}
    assert [row[0] for row in rows(store.connection, found, ("open",))] == ["suspect"]
