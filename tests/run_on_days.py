"""Run what depends on the clock at moments that matter: ``python tests/run_on_days.py [--days N] [pytest arguments]``.

libfaketime (Debian's package `faketime`) shifts the clock of pytest and of all that it starts, Postgres included, by
the same whole number of seconds. Without ``--days`` every moment is tried; with it, that many, of which one is chosen
by the date, so that each has its turn. The monotonic clock moves with it: where FAKETIME_DONT_FAKE_MONOTONIC is set,
libfaketime 0.9.10 takes the shift off the end of a sleep all the same, and ``time.sleep`` fails.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).parent
LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1")
# The modules that ask the clock: a live paper exchange's, the database's, or "now" in a test of their own. No other may
# (unit/test_clock.py); all others take fixed moments.
ASK_THE_CLOCK = (
    "integration/cli/test_any_primary.py",
    "integration/cli/test_candles.py",
    "integration/cli/test_knobs.py",
    "integration/cli/test_prune.py",
    "integration/cli/test_reading.py",
    "integration/cli/test_status.py",
    "integration/jobs/test_declare_universe.py",
    "integration/jobs/test_fill_moments.py",
    "integration/jobs/test_plan_fill.py",
    "integration/jobs/test_progress.py",
    "integration/jobs/test_refresh_instruments.py",
    "integration/jobs/test_run_budget.py",
    "integration/paper/test_ccxt_clients.py",
    "unit/domain/test_timeframe_moments.py",
    "unit/jobs/test_find_gaps.py",
    "unit/local/test_scenario.py",
)
# They ask it too, in a way that no day changes: for a few minutes or hours around now. Some wait for a time-out of
# Postgres's, whose timers do not go off under a shifted clock.
ASK_IT_ANY_DAY = (
    "integration/jobs/test_doubtful_silence.py",
    "integration/cli/test_explain_missing.py",
    "integration/cli/test_lost_postgres.py",
    "integration/cli/test_processes.py",
    "integration/cli/test_validate.py",
    "integration/fallback/test_broken_sources.py",
    "integration/fallback/test_primary_cut_off.py",
    "integration/fallback/test_listings.py",
    "integration/fallback/test_source_health.py",
    "integration/jobs/test_alerts.py",
    "integration/jobs/test_audit_rows.py",
    "integration/jobs/test_fill_replayed.py",
    "integration/jobs/test_prune.py",
    "integration/jobs/test_report_run.py",
    "integration/jobs/test_roll_up_revised.py",
    "integration/pooler/test_every_command.py",
    "integration/pooler/test_pooled_fills.py",
    "integration/storage/test_absences.py",
    "integration/storage/test_database.py",
    "dags/test_example_ema.py",
    "integration/storage/test_server.py",
    "integration/validation/test_busy_series.py",
    "integration/validation/test_prove_by_timeframe.py",
    "integration/validation/test_refused_rows.py",
    "dags/test_candles_catch_up.py",
    "dags/test_candles_maintain.py",
    "dags/test_ccxt_fallback_operator.py",
)


# Ten times what one moment takes.
ENOUGH_S = 600


class Moment(NamedTuple):
    """Where the run starts: an instant, and the zone that the machine is in."""

    name: str
    utc: str
    zone: str = "UTC"


MOMENTS = (
    Moment("a Monday, a month's first minute", "2027-03-01T00:00:20"),
    Moment("a Tuesday, 29 February, before midnight", "2028-02-29T23:57:30"),
    Moment("a Wednesday, the last minutes of a month and its partition", "2027-03-31T23:57:30"),
    Moment("a Thursday, the last minutes of a year", "2026-12-31T23:57:30"),
    Moment("a Friday, a year's first minute", "2027-01-01T00:00:20"),
    Moment("a Saturday noon", "2027-02-27T12:00:00"),
    Moment("a Sunday, before summer time begins in Berlin", "2027-03-28T00:58:30", "Europe/Berlin"),
    Moment("a Sunday, before summer time ends in Berlin", "2027-10-31T00:58:30", "Europe/Berlin"),
    Moment("a Sunday, before summer time begins in New York", "2027-03-14T06:58:30", "America/New_York"),
    Moment("a Sunday, before summer time ends in New York", "2027-11-07T05:58:30", "America/New_York"),
    Moment("a Wednesday, a minute before a day's bar closes", "2027-05-12T23:59:00"),
    Moment("a Thursday, just after a day's bar has closed", "2027-05-13T00:00:07"),
    Moment("a Sunday, the last minute of a week's bar", "2027-05-16T23:59:00"),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=len(MOMENTS), help="how many moments; one is chosen by the date")
    args, pytest_args = parser.parse_known_args()
    library = next((path for pattern in LIBRARIES for path in Path("/").glob(pattern.lstrip("/"))), None)
    if library is None:
        print("libfaketime is not here: apt-get install faketime", file=sys.stderr)
        return 2
    failed = [moment for moment in chosen(args.days, date.today()) if not passes(moment, library, pytest_args)]  # noqa: DTZ011
    for moment in failed:
        print(f"failed: {moment.name} ({moment.utc}Z, {moment.zone})")
    return 1 if failed else 0


def chosen(count: int, today: date) -> list[Moment]:
    """``count`` moments: the one whose turn it is today, and those that follow it at even distances."""
    first, count = today.toordinal() % len(MOMENTS), max(1, min(count, len(MOMENTS)))
    return [MOMENTS[(first + k * len(MOMENTS) // count) % len(MOMENTS)] for k in range(count)]


def passes(moment: Moment, library: Path, pytest_args: list[str]) -> bool:
    """Whether the selected tests pass at ``moment``."""
    began = time.monotonic()
    offset_s = round(datetime.fromisoformat(f"{moment.utc}+00:00").timestamp() - time.time())
    print(f"== {moment.name}: {moment.utc}Z, {moment.zone}", flush=True)
    environment = {
        **os.environ,
        "LD_PRELOAD": str(library),
        "FAKETIME": f"{offset_s:+d}",
        "TZ": moment.zone,
    }
    names_tests = any((TESTS.parent / arg.split("::")[0]).exists() for arg in pytest_args)
    selected = pytest_args if names_tests else _selected() + pytest_args
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *selected], cwd=TESTS.parent, env=environment, timeout=ENOUGH_S
        )
    except subprocess.TimeoutExpired:
        print(f"   not done after {ENOUGH_S} s", flush=True)
        return False
    print(f"   {time.monotonic() - began:.0f} s", flush=True)
    return done.returncode == 0


def _selected() -> list[str]:
    return ["--numprocesses=2", "--maxprocesses=8", *(str(TESTS / name) for name in ASK_THE_CLOCK)]


if __name__ == "__main__":
    sys.exit(main())
