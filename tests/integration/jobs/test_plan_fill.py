"""The plan of a fill: what each source is to be asked, found without asking any."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backfill.config.connections import SourceConnection
from backfill.config.settings import load_settings
from backfill.domain.intervals import Interval
from backfill.errors import ConfigurationError
from backfill.jobs.fill.fill_universe import select_declared
from backfill.jobs.fill.plan_fill import FillPlan, plan_fill
from backfill.sources.runtime import Runtime
from backfill.storage.candle_store import CandleStore
from backfill.storage.multiranges import to_multirange
from backfill.storage.series import Selection
from integration.helpers import HOUR_MS, MINUTE_MS, candles, ms, opens, store_bars

MIDNIGHT_MS = ms("2025-03-01")
DAY_ROWS = 1440
# Blofin gives 1440 rows a page, OKX 300 (the defaults of the settings and of exchanges/venues.py).
UNIVERSE = """
instruments: [BTC-USDT]
timeframes:
  1m: {since: 2025-03-01, until: 2025-03-02}
  1h: {since: 2025-03-01, until: 2025-03-02, sources: [blofin]}
sources: [blofin, okx]
roll_up: true
"""
Plan = Callable[..., FillPlan]


def nobody(source: str) -> SourceConnection:
    raise AssertionError(f"{source} is asked")


@pytest.fixture
def plan(database_uri: str, tmp_path: Path) -> Iterator[Plan]:
    universe = tmp_path / "universe.yaml"
    universe.write_text(UNIVERSE)
    with Runtime(database_uri, load_settings({"BACKFILL_UNIVERSE": str(universe)}), nobody) as runtime:
        which = select_declared(runtime, ask=False)
        yield lambda **how: plan_fill(runtime, which, **how)


def asked(plan: FillPlan) -> dict[tuple[str, str], tuple[int, int]]:
    """Timeframe and source → requests planned, and at most."""
    return {(row.timeframe, row.source): (row.requests_planned, row.requests_at_most) for row in plan.rows}


def deny(store: CandleStore, source: str, start_ms: int, end_ms: int) -> None:
    """``source`` has answered that it has no minutes there."""
    store.connection.execute(
        "INSERT INTO backfill.absences (series_id, source_id, confirmations, expires_at, absent, grade) "
        "SELECT id, %s, 2, now() + interval '1 day', %s, 'reported' FROM backfill.series WHERE timeframe = '1m'",
        (store.source_id(source), to_multirange([Interval(start_ms, end_ms)])),
    )


def test_the_primary_is_to_be_asked_for_all_and_the_others_for_nothing_unless_it_fails(plan: Plan) -> None:
    empty = plan()
    assert (empty.missing_candles, empty.requests_planned) == (DAY_ROWS + 24, 1)
    assert asked(empty) == {("1m", "blofin"): (1, 1), ("1m", "okx"): (0, 5), ("1h", "blofin"): (0, 1)}


def test_what_the_primary_has_denied_is_planned_for_the_next(plan: Plan, store: CandleStore) -> None:
    deny(store, "blofin", MIDNIGHT_MS, MIDNIGHT_MS + 6 * HOUR_MS)
    assert asked(plan(only=["blofin", "okx"]))["1m", "okx"] == (2, 5)
    assert plan().requests_planned == 1 + 2 + 1


def test_only_the_sources_that_are_named_are_planned_for_and_only_where_the_universe_has_them(plan: Plan) -> None:
    assert asked(plan(only=["okx"])) == {("1m", "okx"): (5, 5)}
    with pytest.raises(ConfigurationError, match="sources: the universe has none of bybit"):
        plan(only=["bybit"])


def test_what_is_held_or_denied_by_all_is_not_planned_except_for_a_recheck(plan: Plan, store: CandleStore) -> None:
    (window,) = [w for w in store.windows(Selection(store.now())) if w.timeframe == "1m"]
    store_bars(store, window, candles(opens(MIDNIGHT_MS, MIDNIGHT_MS + 20 * HOUR_MS, MINUTE_MS)))
    for source in ("blofin", "okx"):
        deny(store, source, MIDNIGHT_MS + 20 * HOUR_MS, MIDNIGHT_MS + 24 * HOUR_MS)

    assert asked(plan())["1m", "blofin"] == asked(plan())["1m", "okx"] == (0, 0)
    assert asked(plan(recheck=True))["1m", "blofin"] == (1, 1)
    assert plan(recheck=True).missing_candles == 24  # the hours; what is established as absent is not missing


def test_the_series_with_the_newest_work_comes_first(plan: Plan, store: CandleStore) -> None:
    (window,) = [w for w in store.windows(Selection(store.now())) if w.timeframe == "1m"]
    store_bars(store, window, candles(opens(MIDNIGHT_MS + 20 * HOUR_MS, MIDNIGHT_MS + 24 * HOUR_MS, MINUTE_MS)))
    assert [gaps.timeframe for gaps in plan().series_to_ask_for()] == ["1h", "1m"]
