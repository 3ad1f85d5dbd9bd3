"""Write docs/fault_matrix.md from the results of `make test-faults`."""

from __future__ import annotations

import json
import os
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from faults.cells import CELLS

# Played on one stack: test_airflow.py.
AIRFLOW_FAULTS = (
    "task killed with SIGKILL",
    "scheduler killed with SIGKILL",
    "triggerer killed with SIGKILL",
    "task cleared while it runs",
    "a second run, and `backfill fill` beside it",
)
# On another with two Celery workers, in .venv-celery.
CELERY_FAULTS = ("Redis killed with SIGKILL", "a Celery worker killed with SIGKILL")
ALL_OF_AIRFLOW = AIRFLOW_FAULTS + CELERY_FAULTS
ROOT = Path(__file__).parents[2]
RESULTS = Path(os.environ.get("FAULT_RESULTS", "dist/faults"))
HEAD = """# What a fault does to a fill

`make test-faults` starts `backfill fill` as a process for two symbols, three hours of 1m and 1h in pages of 60 rows,
makes the fault, and then starts it once more without. Of each cell it asserts that the ledger is true, no bar is stored
that the market does not have with these values, the run log adds up to the candles, the exit code is the documented one
(0: all complete, 3: gaps remain, 1: failure), no run stays `running` after an end in order, and the clean run ends
whole with exit code 0. This table is written from the results.

*Missing* counts bars of those three hours; rows left `running` are marked `abandoned` by the next run. *Wrong* counts
bars that the exchange itself gave with other values: they are kept as said, and corrected by `backfill validate`, or
left to it.
"""
AIRFLOW_HEAD = """
## Airflow

On one stack, the last two on one with two Celery workers: candles_fill_gaps with all of its candles missing, the fault
in the middle of its run. In the end every bar of the window is as the market has it, the ledger is true, and no row of
the run log stays `running`. A killed task is tried again after a minute.

| fault | Dag run | most tries of a task | missing after | runs |
|---|---|---|---|---|
"""


def main() -> int:
    """Return 1 and name what is missing unless every cell has a result."""
    found = {(one["group"], one["fault"]): one for one in map(_read, sorted(RESULTS.glob("*.json")))}
    due = [(cell.group, cell.fault) for cell in CELLS] + [("Airflow", fault) for fault in ALL_OF_AIRFLOW]
    missing = [": ".join(one) for one in due if one not in found]
    if missing:
        print(f"no result of {', '.join(missing)}", file=sys.stderr)
        return 1
    text = HEAD
    for group, cells in groupby(CELLS, key=lambda cell: cell.group):
        text += f"\n## {group}\n\n| fault | exit code | missing after | wrong after | runs | after a clean run |\n"
        text += "|---|---|---|---|---|---|\n"
        text += "".join(_row(found[group, cell.fault]) for cell in cells)
    text += AIRFLOW_HEAD + "".join(_airflow_row(found["Airflow", fault]) for fault in ALL_OF_AIRFLOW)
    text += f"\n{len(due)} cells.\n"
    (ROOT / "docs" / "fault_matrix.md").write_text(text)
    return 0


def _read(file: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(file.read_text())
    return result


def _airflow_row(one: dict[str, Any]) -> str:
    cells = (one["fault"], one["state"], one["tries"], one["missing"], _counted(one["runs"]))
    return f"| {' | '.join(map(str, cells))} |\n"


def _counted(runs: dict[str, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in sorted(runs.items())) or "none"


def _row(one: dict[str, Any]) -> str:
    runs = _counted(one["runs"])
    code = "killed" if one["exit_code"] < 0 else one["exit_code"]
    clean = "whole" if not one["clean_wrong"] else f"whole, {one['clean_wrong']} still wrong"
    return f"| {one['fault']} | {code} | {one['missing']} | {one['wrong']} | {runs} | {clean} |\n"


if __name__ == "__main__":
    sys.exit(main())
