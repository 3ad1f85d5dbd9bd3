"""What has befallen the demo's market is what a run finds and repairs: no Airflow, the same jobs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from backfill.config.connections import SourceConnection
from backfill.config.settings import Settings
from backfill.domain.timeframes import utc
from backfill.jobs.fill.fill_universe import fill_series, left_for_others, select_wanted, windows_to_fill
from backfill.jobs.fill.find_gaps import find_gaps
from backfill.jobs.validate.validate_universe import declared_validation, validate_universe
from backfill.local.scenario import Scenario, synthetic_scenario
from backfill.local.story import FAULTS, HOLES, NICHE, PAST_FAULTS, QUIET
from backfill.paper.limits import NO_LIMITS
from backfill.paper.server import PaperExchange
from backfill.paper.venues import paper_exchange
from backfill.sources.runtime import Runtime
from backfill.storage.gap_fill_log import RunIdentity
from backfill.storage.run_reports import attempts_of_dag_run, revisions_of_dag_run
from integration.helpers import NOON_MS

UNIVERSE = "instruments: [BTC-USDT, ETH-USDT, SOL-USDT]\ntimeframes: {1m: 2d}\nsources: [blofin]\n"
RUN = ("candles_fill_gaps", "a run")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "as_of").write_text(f"{utc(NOON_MS):%Y-%m-%dT%H:%M:%SZ}\n")
    (tmp_path / "mine.yaml").write_text(UNIVERSE)
    return Settings(home=tmp_path, universe=tmp_path / "mine.yaml")


@pytest.fixture
def scenario(settings: Settings) -> Scenario:
    return synthetic_scenario(settings)


@pytest.fixture
def exchanges(scenario: Scenario) -> Iterator[dict[str, PaperExchange]]:
    story, market = scenario.story, scenario.market
    assert story is not None
    assert market is not None
    with ExitStack() as opened:
        running = {
            name: opened.enter_context(
                paper_exchange(name, story.market_of(name, market), clock=lambda: NOON_MS, limits=NO_LIMITS)
            )
            for name in scenario.sources
        }
        story.begin(running)
        yield running


def test_a_run_closes_the_holes_replaces_the_false_bar_and_fills_the_outage_from_another_exchange(
    database_uri: str, settings: Settings, scenario: Scenario, exchanges: dict[str, PaperExchange]
) -> None:
    story = scenario.story
    assert story is not None
    ours = settings.model_copy(update={"universe": Path(scenario.environment["BACKFILL_UNIVERSE"])})

    made = story.make_history(database_uri, ours, exchanges)
    again = story.make_history(database_uri, ours, exchanges)

    assert (made, again) == (["BTC-USDT", "ETH-USDT"], [])
    with Runtime(database_uri, ours, lambda name: SourceConnection(base_url=exchanges[name].url)) as runtime:
        store, who, checks = runtime.store, RunIdentity(*RUN, "fill"), RunIdentity(*RUN, "validate")
        windows = windows_to_fill(runtime)
        first = {report.symbol: report for report in fill_series(runtime, windows, who, primary_only=True)}
        left = left_for_others(store, windows, who, "blofin")
        list(fill_series(runtime, left.windows, who, leave_out=left.passed_over))
        list(validate_universe(runtime, windows, checks, declared_validation(runtime), at=utc(NOON_MS)))
        revised = revisions_of_dag_run(store, *RUN)
        filled = {row["symbol"]: row for row in attempts_of_dag_run(store, *RUN) if row["rows_inserted"]}
        still_open = find_gaps(store, select_wanted(runtime))

    in_two_days = [hole for hole in HOLES["BTC-USDT"] if hole.ago < 2880]
    assert (first["BTC-USDT"].gaps_found, first["BTC-USDT"].missing_before) == (
        len(in_two_days),
        sum(hole.length for hole in in_two_days),
    )
    assert first["SOL-USDT"].missing_after == FAULTS[0].minutes.length
    assert filled["SOL-USDT"]["sources"] == {"okx": FAULTS[0].minutes.length}
    assert filled[NICHE]["sources"].keys() == {"bybit"}
    assert first[QUIET].absent_found > 400
    [row] = revised
    assert (row["symbol"], row["open_time"]) == ("ETH-USDT", utc(PAST_FAULTS[0].minutes.interval(NOON_MS).start))
    assert (row["bars"], row["volume"], row["task_id"]) == (PAST_FAULTS[0].minutes.length, 0, "validate")
    assert row["new_volume"] > 0
    # A second run has nothing to do but to ask Blofin once more for what another exchange stands in for.
    assert [(one.symbol, one.missing_candles, one.restorable_candles) for one in still_open] == [
        ("SOL-USDT", 0, FAULTS[0].minutes.length)
    ]
