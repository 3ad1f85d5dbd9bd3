"""The faults of the matrix: a fault, how it is made, and when it ends."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg

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
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL):
        name = signal.Signals(number).name
        yield Cell("host", name, amid=partial(_signal, number), is_fast=number in (signal.SIGTERM, signal.SIGKILL))


CELLS = list(_cells())
