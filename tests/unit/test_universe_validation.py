"""The `validation` section of a universe file, and the objectives of its series."""

from __future__ import annotations

import re

import pytest

from backfill.config.resources import include_dir
from backfill.config.universe_file import load_universe
from backfill.config.universe_model import Validation
from backfill.domain.timeframes import DAY_MS, HOUR_MS
from backfill.errors import UniverseInvalid

DEFAULT = include_dir() / "universe.yaml"
MINIMAL = "instruments: [BTC-USDT, ETH-USDT]\ntimeframes: {1m: 7d, 1h: 30d}\n"


@pytest.fixture
def universe(tmp_path):
    """Write a file, read it as a universe."""

    def load(text: str, profile: str | None = None):
        path = tmp_path / "universe.yaml"
        path.write_text(text, encoding="utf-8")
        return load_universe(path, profile)

    return load


@pytest.fixture
def problems(universe):
    """Write a file, read what is wrong with it."""

    def load(text: str) -> tuple[str, ...]:
        with pytest.raises(UniverseInvalid) as caught:
            universe(text)
        return caught.value.problems

    return load


def objectives(universe) -> dict[tuple[str, str], float]:
    return {(one.symbol, one.timeframe): one.objective_pct for one in universe.series()}


def test_symbols_share_a_task_by_their_work_unless_a_number_is_given(universe, problems):
    assert universe(MINIMAL).symbols_per_task is None
    assert universe(MINIMAL + "symbols_per_task: auto\n").symbols_per_task is None
    assert universe(MINIMAL + "symbols_per_task: 20\n").symbols_per_task == 20
    for wrong in ("0", "many", "1.5"):
        (problem,) = problems(MINIMAL + f"symbols_per_task: {wrong}\n")
        assert "symbols_per_task" in problem
        assert wrong in problem


def test_the_run_log_is_kept_for_ever_unless_a_duration_of_a_week_or_more_is_given(universe, problems):
    assert universe(MINIMAL).log_retention is None
    assert universe(MINIMAL + "log_retention: false\n").log_retention is None
    assert universe(MINIMAL + "log_retention: 7d\n").log_retention == 7 * DAY_MS
    for wrong in ("6d", "long", "0"):
        (problem,) = problems(MINIMAL + f"log_retention: {wrong}\n")
        assert "log_retention" in problem


def test_without_the_section_a_thousandth_may_be_missing_and_problems_are_warned_of(universe):
    assert universe(MINIMAL).validation == Validation()
    validation = load_universe(DEFAULT).validation
    assert (validation.objective_pct, validation.on_failure, validation.ceiling_pct) == (99.9, "warn", 1.0)
    assert (validation.newest_page, validation.every_ms, validation.next_timeframe) == (True, 7 * DAY_MS, True)
    assert set(objectives(load_universe(DEFAULT)).values()) == {99.9}


def test_the_default_file_shows_the_defaults_in_comments(universe):
    (section,) = re.findall(r"^# validation:\n(?:#   .*\n)+", DEFAULT.read_text(encoding="utf-8"), re.MULTILINE)
    shown = re.sub(r"^# ", "", section, flags=re.MULTILINE)

    assert universe(MINIMAL + shown).validation == Validation()
    assert set(re.findall(r"^  (\w+):", shown, re.MULTILINE)) == {
        field.alias or name for name, field in Validation.model_fields.items()
    }


def test_each_key_is_what_the_file_says(universe):
    section = (
        "validation:\n  objective_pct: 95\n  on_failure: fail\n  newest_page: false\n  every: 36h\n"
        "  tolerance_pct: 0.25\n  next_timeframe: false\n  enabled: false\n  providers: [okx, bybit]\n"
        "  max_gap_minutes: 30\n"
    )
    validation = universe(f"{MINIMAL}sources: [blofin, okx, bybit]\n{section}").validation
    assert (validation.objective_pct, validation.on_failure, validation.newest_page) == (95.0, "fail", False)
    assert (validation.every_ms, validation.ceiling_pct, validation.next_timeframe) == (36 * HOUR_MS, 0.25, False)
    assert (validation.enabled, validation.providers, validation.max_gap_minutes) == (False, ("okx", "bybit"), 30)


def test_the_tolerance_may_go_by_its_former_name_and_not_by_both(universe, problems):
    assert universe(MINIMAL + "validation: {ceiling_pct: 0.5}\n").validation.ceiling_pct == 0.5
    (found,) = problems(MINIMAL + "validation: {ceiling_pct: 0.5, tolerance_pct: 0.5}\n")
    assert "validation.ceiling_pct: unknown key" in found


def test_a_provider_may_stand_in_any_list_of_sources(universe):
    for where in ("sources: [blofin, gate]", "overrides: {BTC-USDT: {sources: [blofin, gate]}}"):
        assert universe(f"{MINIMAL}{where}\nvalidation: {{providers: [gate]}}\n").validation.providers == ("gate",)


def test_old_pages_can_be_left_alone(universe):
    assert universe(MINIMAL + "validation: {every: false}\n").validation.every_ms is None


def test_the_narrowest_objective_holds(universe):
    asked = universe(
        "instruments: [BTC-USDT, ETH-USDT]\n"
        "timeframes:\n  1m: 7d\n  1h: {history: 30d, objective_pct: 100}\n"
        "validation: {objective_pct: 99.5}\n"
        "overrides:\n  ETH-USDT:\n    timeframes: {1m: {history: 7d, objective_pct: 90}, 1h: 60d}\n"
    )
    assert objectives(asked) == {
        ("BTC-USDT", "1m"): 99.5,
        ("BTC-USDT", "1h"): 100.0,
        ("ETH-USDT", "1m"): 90.0,
        ("ETH-USDT", "1h"): 99.5,  # an override's rule replaces the general one whole
    }


def test_an_objective_of_nothing_is_an_objective(universe):
    asked = universe("instruments: [BTC-USDT]\ntimeframes: {1m: {history: 7d, objective_pct: 0}}\n")
    assert objectives(asked) == {("BTC-USDT", "1m"): 0.0}


def test_a_profile_has_a_section_of_its_own(universe):
    text = (
        MINIMAL + "validation: {on_failure: fail, objective_pct: 99}\n"
        "profiles:\n  deep:\n    instruments: [BTC-USDT]\n    timeframes: {1d: 250d}\n"
    )
    assert universe(text).validation.on_failure == "fail"
    deep = universe(text, "deep")
    assert (deep.validation, set(objectives(deep).values())) == (Validation(), {99.9})


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ("{objective_pct: 101}", "validation.objective_pct: Input should be less than or equal to 100"),
        ("{objective_pct: -1}", "validation.objective_pct: Input should be greater than or equal to 0"),
        ("{objective_pct: .nan}", "validation.objective_pct: Input should be a finite number"),
        ("{objective_pct: '99'}", "validation.objective_pct: Input should be a valid number"),
        ("{objective_pct: true}", "validation.objective_pct: Input should be a valid number"),
        ("{on_failure: ignore}", "validation.on_failure: Input should be 'warn' or 'fail'"),
        ("{newest_page: 1}", "validation.newest_page: is neither true nor false"),
        ("{every: 0d}", "validation.every: '0d' is not a duration"),
        ("{every: weekly}", "validation.every: 'weekly' is not a duration"),
        ("{tolerance_pct: 0}", "validation.tolerance_pct: Input should be greater than 0"),
        ("{ceiling_pct: 0}", "validation.tolerance_pct: Input should be greater than 0"),
        ("{enabled: yes please}", "validation.enabled: is neither true nor false"),
        ("{providers: []}", "validation.providers: "),
        ("{providers: [coingecko]}", "validation.providers[0]: "),
        ("{providers: [gate]}", "validation.providers[0]: gate is among no `sources`"),
        ("{max_gap_minutes: -1}", "validation.max_gap_minutes: Input should be greater than or equal to 0"),
        ("{max_gap_minutes: 1.5}", "validation.max_gap_minutes: Input should be a valid integer"),
        ("{next_timeframe: 5m}", "validation.next_timeframe: is neither true nor false"),
        ("{objective: 99}", "validation.objective: unknown key"),
    ],
)
def test_what_makes_no_sense_is_named_with_its_line(problems, section, problem):
    (found,) = problems(f"{MINIMAL}validation: {section}\n")
    assert found.startswith(f"line 3: {problem}")


def test_an_objective_beyond_the_whole_is_refused_for_a_timeframe_too(problems):
    assert problems("instruments: [BTC-USDT]\ntimeframes:\n  1m: {history: 7d, objective_pct: 100.1}\n") == (
        "line 3: timeframes.1m.objective_pct: Input should be less than or equal to 100",
    )


@pytest.mark.parametrize("written", ["0200", "0x10", "1:30", "1_000", "0b11"])
def test_a_number_that_yaml_reads_otherwise_than_people_do_is_refused(tmp_path, written):
    path = tmp_path / "universe.yaml"
    path.write_text(f"instruments: [BTC-USDT]\ntimeframes: {{1m: 7d}}\nready_bars: {written}\n")
    with pytest.raises(UniverseInvalid, match=f"line 3: {written} is no plain decimal number"):
        load_universe(path)
