"""Which market a demo plays, which spans it wishes for, and that the second demo wishes for the same."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import yaml

from backfill.config.settings import Settings
from backfill.config.universe_file import load_universe
from backfill.domain.timeframes import DAY_MS, HOUR_MS, MINUTE_MS
from backfill.errors import ConfigurationError
from backfill.local.scenario import live_scenario, replay_scenario, synthetic_scenario, universe_of
from backfill.local.story import NICHE, QUIET

MIDNIGHT_MS = 20_000 * DAY_MS


def spans_wished_for(universe: Path) -> dict[tuple[str, str], tuple[int | None, int | None]]:
    return {(wish.symbol, wish.timeframe): (wish.since_ms, wish.until_ms) for wish in load_universe(universe).series()}


def write_candles(folder: Path, name: str, opens_ms: list[int]) -> None:
    rows = "".join(f"{open_ms},1,2,0.5,1.5,10\n" for open_ms in opens_ms)
    (folder / f"{name}.csv.gz").write_bytes(gzip.compress(f"ts_ms,open,high,low,close,volume\n{rows}".encode()))


def test_a_universe_of_spans_wishes_for_exactly_these(tmp_path: Path) -> None:
    spans = {
        "BTC-USDT": {"1m": (MIDNIGHT_MS, MIDNIGHT_MS + HOUR_MS), "1h": (MIDNIGHT_MS - DAY_MS, MIDNIGHT_MS)},
        "ETH-USDT": {"1m": (MIDNIGHT_MS, MIDNIGHT_MS + HOUR_MS)},
        "SOL-USDT": {"1m": (MIDNIGHT_MS, MIDNIGHT_MS + HOUR_MS)},
        "XRP-USDT": {"1d": (MIDNIGHT_MS - DAY_MS, MIDNIGHT_MS)},
    }
    file = tmp_path / "universe.yaml"
    file.write_text(yaml.safe_dump(universe_of(spans)))

    assert spans_wished_for(file) == {
        (symbol, timeframe): span for symbol, of_symbol in spans.items() for timeframe, span in of_symbol.items()
    }
    assert set(universe_of(spans)["overrides"]) == {"BTC-USDT", "XRP-USDT"}


def test_the_demo_wishes_for_the_default_universe_as_of_its_first_start(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)

    first = synthetic_scenario(settings)
    wished = spans_wished_for(Path(first.environment["BACKFILL_UNIVERSE"]))
    (tmp_path / "demo" / "as_of").write_text("2026-01-31T12:00:00Z\n")
    later = spans_wished_for(Path(synthetic_scenario(settings).environment["BACKFILL_UNIVERSE"]))

    assert len(wished) == 32 + 2
    since, until = wished.pop((QUIET, "1m"))
    assert since is not None
    assert until is not None
    assert until % HOUR_MS == 0
    assert {until - since for since, until in wished.values() if since and until} == {7 * DAY_MS}
    assert later["BTC-USDT", "1m"][1] == 1_769_860_800_000 - MINUTE_MS  # the minute before noon, having settled
    assert "synthetic" in first.title


def test_a_demo_that_stays_up_wishes_for_all_that_closes_from_now_on(tmp_path: Path) -> None:
    once, live = (synthetic_scenario(Settings(home=tmp_path), live=live) for live in (False, True))

    assert (once.is_live, live.is_live, "live" in live.title) == (False, True, True)
    assert {until for _, until in spans_wished_for(Path(live.environment["BACKFILL_UNIVERSE"])).values()} == {None}
    assert live.story == once.story


def test_a_coin_of_one_exchange_is_listed_there_alone_and_asked_for_there_alone(tmp_path: Path) -> None:
    scenario = synthetic_scenario(Settings(home=tmp_path))
    assert scenario.story is not None
    assert scenario.market is not None
    wishes = load_universe(Path(scenario.environment["BACKFILL_UNIVERSE"])).series()

    listed = {name: scenario.story.market_of(name, scenario.market).instruments for name in scenario.sources}
    assert [name for name, there in listed.items() if NICHE in {one.symbol for one in there}] == ["bybit"]
    assert {wish.sources for wish in wishes if wish.symbol == NICHE} == {("bybit",)}


def test_everyone_whom_the_demo_may_ask_is_on_paper_and_a_replay_asks_blofin_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("instruments: all\ntimeframes: {1h: 1d}\nsources: [okx, gate, blofin]\n")
    write_candles(tmp_path, "binance__BTC-USDT-PERP__1m", [0])
    settings = Settings(home=tmp_path / "home", universe=tmp_path / "mine.yaml")

    demo, replay = synthetic_scenario(settings), replay_scenario(settings, tmp_path)

    assert [load_universe(Path(one.environment["BACKFILL_UNIVERSE"])).all_sources() for one in (demo, replay)] == [
        ["blofin", "okx", "bybit", "binanceusdm"],
        ["blofin"],
    ]
    assert (demo.sources, replay.sources) == (("blofin", "okx", "bybit", "binanceusdm"), ("blofin",))


def test_a_second_demo_wishes_for_what_the_first_one_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(home=tmp_path)
    first = Path(synthetic_scenario(settings).environment["BACKFILL_UNIVERSE"]).read_text()

    monkeypatch.setattr("time.time_ns", lambda: 4_000_000_000 * 10**9)

    assert Path(synthetic_scenario(settings).environment["BACKFILL_UNIVERSE"]).read_text() == first


def test_a_replay_wishes_for_each_files_own_span_and_is_the_same_the_next_time(tmp_path: Path) -> None:
    folder = tmp_path / "candles"
    folder.mkdir()
    write_candles(folder, "binance__BTC-USDT-PERP__1m", [MINUTE_MS * n for n in (0, 1, 2, 9)])
    write_candles(folder, "binance__ETH-USDT-PERP__1h", [HOUR_MS * n for n in range(5)])
    settings = Settings(home=tmp_path / "home")

    scenario = replay_scenario(settings, folder)
    wished = spans_wished_for(Path(scenario.environment["BACKFILL_UNIVERSE"]))
    again = replay_scenario(settings, folder)

    lengths = {key: until - since for key, (since, until) in wished.items() if since is not None and until is not None}
    assert lengths == {("BTC-USDT", "1m"): 10 * MINUTE_MS, ("ETH-USDT", "1h"): 5 * HOUR_MS}
    assert spans_wished_for(Path(again.environment["BACKFILL_UNIVERSE"])) == wished
    assert again.database == scenario.database


def test_another_choice_of_files_is_another_replay_with_a_database_of_its_own(tmp_path: Path) -> None:
    write_candles(tmp_path, "binance__BTC-USDT-PERP__1m", [0])
    write_candles(tmp_path, "binance__ETH-USDT-PERP__1m", [0])
    settings = Settings(home=tmp_path / "home")

    databases = {replay_scenario(settings, tmp_path, select).database for select in ("*", "*BTC*")}

    assert len(databases | {synthetic_scenario(settings).database, live_scenario().database}) == 4


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no folder of candles to replay: .*/nowhere"):
        replay_scenario(Settings(home=tmp_path), tmp_path / "nowhere")


def test_on_paper_nothing_that_the_user_has_set_leads_to_a_real_exchange_or_database(tmp_path: Path) -> None:
    theirs = {
        "BACKFILL_DB": "postgresql://prod",
        "BACKFILL_OKX_URL": "https://okx",
        "BACKFILL_LOOKBACK_HOURS": "5",
        "BACKFILL_PROFILE": "deep_history",
        "AIRFLOW_CONN_CANDLES_DB": "postgresql://prod",
        "AIRFLOW_CONN_BLOFIN_DEFAULT": '{"password": "secret"}',
    }
    kept = {"BACKFILL_BATCH_LIMIT": "100", "PATH": "/bin"}

    assert synthetic_scenario(Settings(home=tmp_path)).inherited(theirs | kept) == kept


def test_against_the_real_exchanges_their_connections_are_kept_but_the_database_is_ours() -> None:
    theirs = {"BACKFILL_DB": "x", "AIRFLOW_CONN_CANDLES_DB": "x", "AIRFLOW_CONN_BLOFIN_DEFAULT": "key"}

    assert live_scenario().inherited(theirs) == {"AIRFLOW_CONN_BLOFIN_DEFAULT": "key"}
