"""Each fault on a real process, then a clean run: nothing lost, invented or doubled, the log and the exit code true.

`make test-faults` plays all cells and writes docs/fault_matrix.md; `make test` the fast ones.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from backfill.local.embedded_postgres import EmbeddedPostgres
from backfill.storage.database import connect
from backfill.storage.migrations import migrate
from faults.cells import CELLS, Cell
from faults.scene import Scene, write_down
from workers import WORKER, copy_database, drop_database, new_server_home

pytestmark = pytest.mark.long

RESULTS = Path(os.environ.get("FAULT_RESULTS", "dist/faults"))
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def own_server() -> Iterator[EmbeddedPostgres]:
    """A server that no other test uses, and that keeps what it has committed."""
    home = new_server_home("candle-keeper-faults-")
    home.mkdir(exist_ok=True)
    home.chmod(0o755)
    server = EmbeddedPostgres(home)
    server.start()
    server.ensure_database("candles")
    with connect(server.uri("candles")) as connection:
        migrate(connection)
    yield server
    server.remove()
    shutil.rmtree(home)


def params() -> list[pytest.param]:  # type: ignore[valid-type]
    slow = pytest.mark.slow_faults
    return [pytest.param(cell, id=cell.name, marks=() if cell.is_fast else slow) for cell in CELLS]


@pytest.mark.parametrize("cell", params())
def test_after_the_fault_a_clean_run_ends_as_if_there_had_been_none(
    cell: Cell,
    request: pytest.FixtureRequest,
    postgres_server: EmbeddedPostgres,
    template_database: str,
    tmp_path: Path,
) -> None:
    server = request.getfixturevalue("own_server") if cell.own_server else postgres_server
    name = f"faults_{WORKER}_{next(_numbers)}"
    copy_database(server, "candles" if cell.own_server else template_database, name)
    scene = Scene(server, name, tmp_path)
    try:
        write_down(scene.play(cell), RESULTS)
    finally:
        scene.admin.close()
        if scene.other is not None:
            scene.other.close()
        drop_database(server, name)
        scene.aftermath.close()
