"""Any source can be the primary of a series: from an empty database, cut off, and back again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from backfill.domain.archive_plan import day_of
from backfill.domain.timeframes import DAY_MS, HOUR_MS, TIMEFRAMES
from backfill.paper.coins import LIQUID_COINS, MULTIPLIED_COINS
from backfill.paper.limits import NO_LIMITS
from backfill.paper.server import PaperExchange
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.paper.venues import paper_exchange
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import Selection
from integration.archive import PaperArchive
from integration.cli.conftest import Cli
from integration.helpers import one, rows

PEPE = next(coin for coin in (*LIQUID_COINS, *MULTIPLIED_COINS) if coin.instrument.symbol == "PEPE-USDT")
MARKET = SyntheticMarket(coins=[*LIQUID_COINS[:3], PEPE])
NAMES = ("blofin", "okx", "bybit", "binanceusdm", "kraken")
STORED = (
    "SELECT (extract(epoch FROM open_time) * 1000)::bigint, open, high, low, close, volume FROM backfill.ohlcv "
    "WHERE symbol = %s AND timeframe = %s ORDER BY 1"
)
SOURCES_HELD = """
SELECT DISTINCT source FROM backfill.ohlcv WHERE symbol = %s AND timeframe = %s AND open_time >= to_timestamp(%s / 1e3)
"""


@pytest.fixture(scope="module")
def served() -> Iterator[dict[str, PaperExchange]]:
    with ExitStack() as opened:
        yield {name: opened.enter_context(paper_exchange(name, MARKET, limits=NO_LIMITS)) for name in NAMES}


@pytest.fixture
def venues(served: dict[str, PaperExchange], environment: pytest.MonkeyPatch) -> dict[str, PaperExchange]:
    for name, venue in served.items():
        environment.setenv(f"BACKFILL_{name.upper()}_URL", venue.url)
        venue.faults.off()
        venue.reset_limits()
        venue.reset_counts()
    return served


def universe(folder: Path, sources: Sequence[str], instruments: str = "[BTC-USDT]", more: str = "") -> None:
    (folder / "universe.yaml").write_text(
        f"instruments: {instruments}\ntimeframes: {{1m: 6h, 1h: 2d}}\nsources: [{', '.join(sources)}]\n{more}"
    )


def assert_is_the_venues(store: CandleStore, venue: PaperExchange, symbol: str, listed_as: str | None = None) -> None:
    """Both series hold the bars of the venue's own market, value for value."""
    windows = store.windows(Selection(store.now(), symbols=[symbol]))
    assert [window.timeframe for window in windows] == ["1m", "1h"]
    for window in windows:
        # A bar that has left the window since it was filled keeps its source.
        held = rows(store.connection, STORED, (symbol, window.timeframe))
        stored = [row for row in held if row[0] >= window.start_ms]
        step_ms = TIMEFRAMES[window.timeframe].step_ms
        market = venue.market.candles(listed_as or symbol, window.timeframe, stored[0][0], stored[-1][0] + step_ms)
        assert len(stored) >= (window.end_ms - window.start_ms) // step_ms - 2
        assert [row[:5] for row in stored] == [tuple(bar)[:5] for bar in market.tolist()]
        assert [row[5] for row in stored] == pytest.approx(market["base_volume"].tolist(), rel=1e-9)


def sources_held(store: CandleStore) -> set[str]:
    """The sources of the bars in the windows as they are now. A bar that has left its window keeps its source."""
    windows = store.windows(Selection(store.now()))
    held = [(window.symbol, window.timeframe, window.start_ms) for window in windows]
    return {source for window in held for (source,) in rows(store.connection, SOURCES_HELD, window)}


def let_the_breaker_close(store: CandleStore) -> None:
    """As if the time had gone by after which a source that failed is asked again."""
    store.connection.execute("UPDATE backfill.source_health SET open_until = now() WHERE open_until IS NOT NULL")


@pytest.mark.parametrize(
    ("sources", "more", "listed_as"),
    [
        (["binanceusdm"], "", None),
        (["okx", "bybit", "binanceusdm", "blofin"], "", None),
        (["bybit", "blofin"], "", None),
        (["kraken"], "spot_proxy: true\n", "BTC-USDT-SPOT"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_the_first_fill_of_an_empty_database_is_the_first_sources(
    cli: Cli, store: CandleStore, venues: dict[str, PaperExchange], tmp_path: Path,
    sources: list[str], more: str, listed_as: str | None,
) -> None:  # fmt: skip
    universe(tmp_path, sources, more=more)

    filled = cli("fill", "--json")

    assert filled.code == 0, filled.err
    assert {run["status"] for run in filled.document["runs"]} == {"complete"}
    assert sources_held(store) == {sources[0]}
    assert_is_the_venues(store, venues[sources[0]], "BTC-USDT", listed_as)
    assert [name for name in NAMES if name not in sources and venues[name].requests.total] == []
    described = "SELECT s.name FROM backfill.instruments AS i JOIN backfill.sources AS s ON s.id = i.described_by"
    assert {name for (name,) in rows(store.connection, described)} == {sources[0]}
    assert one(store.connection, "SELECT count(*) FROM backfill.instrument_log WHERE what = 'listed'") >= 1


@pytest.mark.parametrize("fault", ["geo_block", "error_503"])
def test_with_the_primary_cut_off_the_next_fills_and_is_replaced_when_it_returns(
    cli: Cli, store: CandleStore, venues: dict[str, PaperExchange], tmp_path: Path, fault: str
) -> None:
    universe(tmp_path, ["bybit", "blofin"])
    assert cli("fill").code == 0
    store.connection.execute("DELETE FROM backfill.candles WHERE open_time > now() - interval '3 hours'")
    venues["bybit"].faults.on(fault)

    cut_off = cli("fill", "--json")

    assert cut_off.code == 0, cut_off.err
    assert sources_held(store) == {"bybit", "blofin"}
    assert all("bybit" in str(run["error"]) for run in cut_off.document["runs"])

    venues["bybit"].faults.off()
    let_the_breaker_close(store)
    assert cli("fill").code == 0

    assert sources_held(store) == {"bybit"}
    assert_is_the_venues(store, venues["bybit"], "BTC-USDT")
    reasons = "SELECT DISTINCT reason FROM backfill.revisions"
    assert rows(store.connection, reasons) == [("native_restored",)]


@pytest.mark.parametrize("cut_off", ["geo_block", "error_503", "refused"])
def test_with_the_primary_cut_off_from_the_very_first_fill_two_others_prove_each_other_and_fill(
    cli: Cli, store: CandleStore, venues: dict[str, PaperExchange], environment: pytest.MonkeyPatch, tmp_path: Path,
    cut_off: str,
) -> None:  # fmt: skip
    universe(tmp_path, ["okx", "bybit", "binanceusdm", "blofin"])
    if cut_off == "refused":
        environment.setenv("BACKFILL_OKX_URL", "http://127.0.0.1:9")
    else:
        venues["okx"].faults.on(cut_off)

    first = cli("fill", "--json")

    assert first.code == 0, first.err
    assert sources_held(store) == {"bybit"}
    assert all("okx" in str(run["error"]) for run in first.document["runs"])

    environment.setenv("BACKFILL_OKX_URL", venues["okx"].url)
    venues["okx"].faults.off()
    let_the_breaker_close(store)
    assert cli("fill").code == 0

    assert sources_held(store) == {"okx"}
    assert_is_the_venues(store, venues["okx"], "BTC-USDT")


def test_a_single_other_source_is_not_believed_before_the_primary_has_ever_answered(
    cli: Cli, store: CandleStore, venues: dict[str, PaperExchange], tmp_path: Path
) -> None:
    """Nothing shows that it means the same coin. See docs/decisions/0013."""
    universe(tmp_path, ["bybit", "blofin"])
    venues["bybit"].faults.on("error_503")

    filled = cli("fill", "--json")

    assert (filled.code, sources_held(store)) == (1, set())
    assert {run["status"] for run in filled.document["runs"]} == {"failed"}
    assert all("blofin" in run["error"] and "bybit" in run["error"] for run in filled.document["runs"])


def test_a_lone_primary_that_fails_is_a_failed_series(
    cli: Cli, store: CandleStore, venues: dict[str, PaperExchange], tmp_path: Path
) -> None:
    universe(tmp_path, ["binanceusdm"])
    venues["binanceusdm"].faults.on("error_503")

    filled = cli("fill", "--json")

    assert filled.code == 1
    assert {run["status"] for run in filled.document["runs"]} == {"failed"}
    assert all("binanceusdm" in run["error"] for run in filled.document["runs"])
    assert {row["status"] for row in cli("status", "--json").document["series"]} == {"error"}


def test_a_primary_that_quotes_by_the_thousand_is_scaled_by_identity(
    cli: Cli, store: CandleStore, venues: dict[str, PaperExchange], tmp_path: Path
) -> None:
    universe(tmp_path, ["binanceusdm"], "[PEPE-USDT]")

    assert cli("fill").code == 0

    stored = rows(store.connection, STORED, ("PEPE-USDT", "1h"))
    span = (stored[0][0], stored[-1][0] + HOUR_MS)
    by_the_thousand = venues["binanceusdm"].market.candles("1000PEPE-USDT", "1h", *span)
    assert [row[0] for row in stored] == by_the_thousand["open_ms"].tolist()
    for place, name, scale in ((1, "open", 0.001), (2, "high", 0.001), (3, "low", 0.001), (4, "close", 0.001),
                               (5, "base_volume", 1000)):  # fmt: skip
        expected = (by_the_thousand[name] * scale).tolist()
        assert [row[place] for row in stored] == pytest.approx(expected, rel=1e-9), name
    listing = "SELECT venue_symbol, price_scale, status, proved_by FROM backfill.listings"
    assert rows(store.connection, listing) == [("1000PEPE/USDT:USDT", 0.001, "proved", "identity")]


@pytest.mark.parametrize("source", ["okx", "binanceusdm"])
def test_all_means_all_that_the_first_source_lists(
    cli: Cli, store: CandleStore, venues: dict[str, PaperExchange], tmp_path: Path, source: str
) -> None:
    universe(tmp_path, [source], "all")

    assert cli("declare", "--yes").code == 0

    wanted = {symbol for symbol, _ in store.wishes.wanted()}
    assert {"BTC-USDT", "ETH-USDT"} <= wanted
    assert ("1000PEPE-USDT" in wanted) is (source == "binanceusdm"), "by the source's own names"
    assert venues["blofin"].requests.total == 0


def test_the_archive_is_a_primary_too_and_the_api_gives_what_is_not_out_yet(
    cli: Cli, store: CandleStore, venues: dict[str, PaperExchange], environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    universe(tmp_path, ["binance_vision", "binanceusdm"])
    today = day_of(round(store.now().timestamp() * 1000))
    days = [day_of(today.span.start - days * DAY_MS) for days in (1, 2, 3)]
    with PaperArchive() as archive:
        environment.setenv("BACKFILL_BINANCE_VISION_URL", archive.url)
        for day in days:
            for timeframe in ("1m", "1h"):
                bars = venues["binanceusdm"].market.candles("BTC-USDT", timeframe, *day.span)
                archive.put("BTCUSDT", timeframe, day, bars)

        filled = cli("fill", "--json")

    assert filled.code == 0, filled.err
    held = rows(store.connection, "SELECT source, count(*) FROM backfill.ohlcv WHERE timeframe = '1h' GROUP BY 1")
    assert {name for name, _ in held} <= {"binance_vision", "binanceusdm"}
    assert dict(held)["binance_vision"] >= 24 - 12
    assert sum(count for _, count in held) == 48
