"""The faults of the matrix: a fault, how it is made, and when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
import pytest

from backfill.paper.faults import ANSWERS, BARS, DELIVERIES
from backfill.paper.page_faults import PAGES
from backfill.storage.series import SERIES_LOCK

if TYPE_CHECKING:
    from faults.scene import Scene

CANDLES = "/api/v1/market/candles"
# What the exchange says of its own bars is stored as it says it; validation asks again and takes the correction.
SAID_OTHERWISE = {"revised", "more_volume", "doubled", "flat", "neighbours_time", "other_instrument", "block_shifted"}


@dataclass(frozen=True)
class Cell:
    """``before`` the process starts, ``amid`` its work, ``after`` it has ended."""

    group: str
    fault: str
    before: Callable[[Scene], None] = lambda _: None
    amid: Callable[[Scene], None] | None = None
    after: Callable[[Scene], None] = lambda _: None
    own_server: bool = False
    to_now: bool = False
    is_fast: bool = False
    kind: str = ""

    @property
    def name(self) -> str:
        return f"{self.group}: {self.fault}"


def _on(fault: str, scene: Scene, **narrowed: Any) -> None:
    scene.exchange.faults.on(fault, **narrowed)


def _off(scene: Scene) -> None:
    scene.exchange.faults.off()


def _on_bars(fault: str, scene: Scene) -> None:
    _on(fault, scene, timeframe="1m", opens_ms=scene.some_minutes())


def _clock(offset_ms: int, scene: Scene) -> None:
    scene.offset_ms = offset_ms


def _sql(*statements: str) -> Callable[[Scene], None]:
    def execute(scene: Scene) -> None:
        for statement in statements:
            scene.admin.execute(statement.format(database=scene.database))

    return execute


def _set(setting: str) -> dict[str, Callable[[Scene], None]]:
    name = setting.split(" ", 1)[0]
    return {
        "before": _sql(f"ALTER DATABASE {{database}} SET {setting}"),
        "after": _sql(f"ALTER DATABASE {{database}} RESET {name}"),
    }


def _restart(mode: str, scene: Scene) -> None:
    scene.server._shut_down(mode)
    scene.server.start()
    scene.reconnect()


def _terminate(times: int, scene: Scene) -> None:
    for _ in range(times):
        scene.admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            (scene.database,),
        )
        time.sleep(0.3)


def _read_only_amid(scene: Scene) -> None:
    _sql("ALTER DATABASE {database} SET default_transaction_read_only = on")(scene)
    _terminate(1, scene)


def _lock_table(scene: Scene) -> None:
    scene.other = psycopg.connect(scene.uri)
    scene.other.execute("LOCK TABLE backfill.gap_fill_runs IN ACCESS EXCLUSIVE MODE")


def _lock_series(scene: Scene) -> None:
    scene.other = psycopg.connect(scene.uri, autocommit=True)
    scene.other.execute("SELECT pg_advisory_lock(%s, id) FROM backfill.series", (SERIES_LOCK,))


def _let_go(scene: Scene) -> None:
    if scene.other is not None:
        scene.other.close()
        scene.other = None


def _let_go_soon(scene: Scene) -> None:
    time.sleep(2)
    _let_go(scene)


def _few_connections(limit: int, scene: Scene) -> None:
    _sql(
        f"CREATE ROLE limited LOGIN CONNECTION LIMIT {limit}",
        "GRANT USAGE ON SCHEMA backfill TO limited",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA backfill TO limited",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA backfill TO limited",
        "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA backfill TO limited",
    )(scene)
    scene.user = "limited"


def _any_number(scene: Scene) -> None:
    scene.user = "postgres"
    scene.admin.execute("DROP OWNED BY limited; DROP ROLE limited")


def _mounted(scene: Scene, name: str, kib: int) -> Path:
    """A folder with room for so much; only root may make one."""
    folder = scene.folder / name
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder)], capture_output=True)
    if made.returncode:
        pytest.skip("may not mount")
    scene.aftermath.callback(subprocess.run, ["umount", str(folder)], check=True)
    return folder


def _fill_up(folder: Path) -> None:
    with suppress(OSError), (folder / "filler").open("wb", buffering=0) as filler:
        while filler.write(bytes(4096)):
            pass


def _small_disk(scene: Scene) -> None:
    """The database moves to a disk of its own, with some room."""
    (size,) = scene.admin.execute("SELECT pg_database_size(current_database())").fetchone() or (0,)
    disk = _mounted(scene, "disk", size // 1024 + 4096)
    os.chown(disk, scene.server.account.uid, scene.server.account.gid)
    for parent in disk.parents[:3]:
        parent.chmod(0o755)
    scene.admin.close()
    with psycopg.connect(scene.server.uri("postgres"), autocommit=True) as elsewhere:
        elsewhere.execute(f"CREATE TABLESPACE {scene.database} LOCATION '{disk}'")
        elsewhere.execute(f"ALTER DATABASE {scene.database} SET TABLESPACE {scene.database}")
    scene.aftermath.callback(_drop_tablespace, scene)
    scene.reconnect()


def _drop_tablespace(scene: Scene) -> None:
    with psycopg.connect(scene.server.uri("postgres"), autocommit=True) as elsewhere:
        elsewhere.execute(f"DROP TABLESPACE {scene.database}")


def _disk_fills_up(scene: Scene) -> None:
    _fill_up(scene.folder / "disk")


def _full_disk(scene: Scene) -> None:
    _small_disk(scene)
    _disk_fills_up(scene)


def _disk_has_room(scene: Scene) -> None:
    (scene.folder / "disk" / "filler").unlink()


def _full_temporary_folder(scene: Scene) -> None:
    folder = _mounted(scene, "temporary", 64)
    _fill_up(folder)
    scene.environment["TMPDIR"] = str(folder)


def _little_memory(megabytes: int, scene: Scene) -> None:
    scene.prefix = ["prlimit", f"--as={megabytes << 20}"]


def _no_more_memory(scene: Scene) -> None:
    process = psutil.Process(scene.process.pid)
    process.rlimit(psutil.RLIMIT_AS, (process.memory_info().vms, -1))


def _own_clock(scene: Scene) -> None:
    """The process reads its clock through libfaketime, which reads the offset from a file."""
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not libraries:
        pytest.skip("libfaketime is not here: tests/install_faketime.sh")
    _step_clock("+0", scene)
    scene.environment |= {
        "LD_PRELOAD": str(libraries[0]),
        "FAKETIME_TIMESTAMP_FILE": str(scene.folder / "clock"),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def _step_clock(offset: str, scene: Scene) -> None:
    (scene.folder / "clock").write_text(f"{offset}\n")


def _as_before(scene: Scene) -> None:
    scene.environment.clear()
    scene.prefix.clear()


def _signal(number: int, scene: Scene) -> None:
    with suppress(ProcessLookupError):
        scene.process.send_signal(number)


def _cells() -> Iterator[Cell]:
    fast = {"error_503"}
    for fault in (*DELIVERIES, *ANSWERS):
        once = partial(_on, fault, path=CANDLES, requests=1)
        yield Cell("exchange, one answer", fault, once, after=_off, is_fast=fault in fast)
    for fault in (*DELIVERIES, *ANSWERS):
        yield Cell("exchange, every answer", fault, partial(_on, fault, path=CANDLES), after=_off)
    for fault in BARS:
        yield Cell("exchange, three bars", fault, partial(_on_bars, fault), after=_off, kind=fault)
    for fault in PAGES:
        one_page = partial(_on, fault, timeframe="1m", requests=1, seed=7)
        yield Cell("exchange, one page", fault, one_page, after=_off, kind=fault, is_fast=fault == "left_out")
    for minutes, where in ((-5, "behind"), (5, "ahead")):
        there, back = partial(_clock, minutes * 60_000), partial(_clock, 0)
        yield Cell("exchange, clock", f"five minutes {where}", there, after=back, to_now=True)
    for mode in ("fast", "immediate"):
        yield Cell("Postgres", f"restart, {mode}", amid=partial(_restart, mode), own_server=True)
    yield Cell("Postgres", "all sessions ended once", amid=partial(_terminate, 1), is_fast=True)
    yield Cell("Postgres", "all sessions ended four times", amid=partial(_terminate, 4))
    yield Cell("Postgres", "read-only from the start", **_set("default_transaction_read_only = on"))
    yield Cell(
        "Postgres",
        "read-only from the middle on",
        amid=_read_only_amid,
        after=_sql("ALTER DATABASE {database} RESET default_transaction_read_only"),
    )
    for timeout in (
        "statement_timeout = '3ms'",
        "lock_timeout = '10ms'",
        "idle_session_timeout = '100ms'",
        "idle_in_transaction_session_timeout = '100ms'",
        "transaction_timeout = '150ms'",
    ):
        yield Cell("Postgres", timeout, **_set(timeout))
    yield Cell(
        "Postgres",
        "run log locked, lock_timeout = '100ms'",
        lambda scene: (_set("lock_timeout = '100ms'")["before"](scene), _lock_table(scene))[0],
        after=lambda scene: (_let_go(scene), _set("lock_timeout = '100ms'")["after"](scene))[0],
    )
    yield Cell("Postgres", "all series locked for two seconds", _lock_series, _let_go_soon)
    for limit in (2, 4):
        yield Cell("Postgres", f"{limit} connections", partial(_few_connections, limit), after=_any_number)
    yield Cell("Postgres", "full disk from the start", _full_disk, after=_disk_has_room)
    yield Cell("Postgres", "full disk from the middle on", _small_disk, _disk_fills_up, _disk_has_room)
    yield from _host_cells()


def _host_cells() -> Iterator[Cell]:
    for step, where in (("+1h", "forward"), ("-1h", "back")):
        step_clock = partial(_step_clock, step)
        yield Cell("host", f"the clock steps an hour {where}, in mid-run", _own_clock, step_clock, _as_before)
    yield Cell("host", "full temporary folder", _full_temporary_folder, after=_as_before)
    yield Cell("host", "420 MB of address space", partial(_little_memory, 420), after=_as_before)
    yield Cell("host", "no more memory, from the middle on", amid=_no_more_memory)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL):
        name = signal.Signals(number).name
        yield Cell("host", name, amid=partial(_signal, number), is_fast=number in (signal.SIGTERM, signal.SIGKILL))


CELLS = list(_cells())
