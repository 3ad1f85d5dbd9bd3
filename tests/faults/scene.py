"""One database, one paper exchange at the time of day, and `backfill fill` as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from backfill.local.embedded_postgres import EmbeddedPostgres
from backfill.paper.coins import LIQUID_COINS
from backfill.paper.limits import NO_LIMITS
from backfill.paper.server import PaperExchange, wall_clock_ms
from backfill.paper.synthetic_market import SyntheticMarket
from faults.cells import SAID_OTHERWISE, Cell
from integration.helpers import HOUR_MS, MINUTE_MS, assert_held_is_true, rows
from waiting import PATIENCE_S, wait_for

UNIVERSE = "instruments: [BTC-USDT, ETH-USDT]\ntimeframes: {1m: 6h, 1h: 2d}\nsources: [blofin]\n"
MARKET = SyntheticMarket(coins=LIQUID_COINS[:2])
HOURS = 3
PLUGINS = Path(__file__).parents[2] / "plugins"
_STORED = """
SELECT i.symbol, s.timeframe, (extract(epoch FROM c.open_time) * 1000)::bigint, c.open, c.high, c.low, c.close, c.volume
FROM backfill.candles AS c JOIN backfill.series AS s ON s.id = c.series_id
JOIN backfill.instruments AS i ON i.id = s.instrument_id
"""
_FORGIVE = (
    "UPDATE backfill.rate_budgets SET paused_until = clock_timestamp() WHERE paused_until > clock_timestamp()",
    "UPDATE backfill.source_health SET open_until = clock_timestamp() WHERE open_until > clock_timestamp()",
)


@dataclass(frozen=True)
class Outcome:
    """A line of the table. ``wrong``: bars with other values than the market's, after each step."""

    group: str
    fault: str
    exit_code: int
    seconds: float
    stored: int
    wrong: int
    missing: int
    runs: dict[str, int]
    clean_exit_code: int
    clean_missing: int
    clean_wrong: int
    said: str


class Scene:
    """Plays one cell."""

    def __init__(self, server: EmbeddedPostgres, database: str, folder: Path) -> None:
        self.server = server
        self.database = database
        self.user = "postgres"
        self.offset_ms = 0
        self.folder = folder
        self.environment: dict[str, str] = {}
        self.prefix: list[str] = []
        # What is undone once the database is gone.
        self.aftermath = ExitStack()
        self.other: psycopg.Connection[Any] | None = None
        self.process: subprocess.Popen[str]
        self.exchange = PaperExchange(
            MARKET, limits=NO_LIMITS, clock=lambda: wall_clock_ms() + self.offset_ms, latency_ms=300
        )
        self.end_ms = (wall_clock_ms() // HOUR_MS - 1) * HOUR_MS
        self.start_ms = self.end_ms - HOURS * HOUR_MS
        self._universe = folder / "universe.yaml"
        self._universe.write_text(UNIVERSE)
        self.reconnect()

    @property
    def uri(self) -> str:
        return self.server.uri(self.database)

    def reconnect(self) -> None:
        """Our own session, again after the server's restart."""
        if hasattr(self, "admin"):
            self.admin.close()
        self.admin = psycopg.connect(self.uri, autocommit=True)

    def some_minutes(self) -> list[int]:
        return [self.start_ms + n * MINUTE_MS for n in (10, 70, 71)]

    def play(self, cell: Cell) -> Outcome:
        """The run with the fault, and a clean one; raises AssertionError where anything is lost, invented or untrue."""
        with self.exchange:
            cell.before(self)
            began = time.monotonic()
            self.process = self._start(cell)
            try:
                if cell.amid is not None:
                    wait_for("the run to be at work", self._is_at_work)
                    cell.amid(self)
                out, err = self.process.communicate(timeout=PATIENCE_S)
            finally:
                self.process.kill()
            seconds = time.monotonic() - began
            cell.after(self)
            wait_for("its sessions to end", lambda: self._sessions() == 0)
            stored, wrong, missing = self._compared(cell)
            runs = self._check_log(self.process.returncode, missing, to_now=cell.to_now)
            assert not wrong or cell.kind in SAID_OTHERWISE, f"stored, though the market has other values: {wrong[:3]}"
            clean_code, clean_missing, clean_wrong = self._run_clean(cell, wrong=bool(wrong))
        said = _last_line(out, err)
        return Outcome(
            cell.group, cell.fault, self.process.returncode, round(seconds, 1), stored, len(wrong), missing, runs,
            clean_code, clean_missing, clean_wrong, said,
        )  # fmt: skip

    def _run_clean(self, cell: Cell, *, wrong: bool) -> tuple[int, int, int]:
        for statement in _FORGIVE:
            self.admin.execute(statement)
        clean = self._start(cell)
        clean.communicate(timeout=PATIENCE_S)
        _, still_wrong, missing = self._compared(cell)
        assert (clean.returncode, missing) == (0, 0), "the clean run did not make it whole"
        assert self._check_log(0, 0, to_now=cell.to_now).get("running", 0) == 0
        if wrong and still_wrong:
            validated = self._start(cell, "validate")
            validated.communicate(timeout=PATIENCE_S)
            _, still_wrong, _ = self._compared(cell)
        return clean.returncode, missing, len(still_wrong)

    def _start(self, cell: Cell, command: str = "fill") -> subprocess.Popen[str]:
        uri = self.uri.replace("postgresql://postgres@", f"postgresql://{quote(self.user)}@")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("BACKFILL_", "AIRFLOW_"))}
        ours = {
            "BACKFILL_DB": uri,
            "BACKFILL_UNIVERSE": str(self._universe),
            "BACKFILL_BLOFIN_URL": self.exchange.url,
            "BACKFILL_ENV_FILE": os.devnull,
            "BACKFILL_HTTP_TIMEOUT_S": "2",
            "PYTHONPATH": str(PLUGINS),
        }
        span = [] if cell.to_now or command != "fill" else ["--from", str(self.start_ms), "--to", str(self.end_ms)]
        rows_a_page = ["--batch-limit", "60"] if command == "fill" else []
        return subprocess.Popen(
            [*self.prefix, sys.executable, "-m", "backfill.cli.main", command, *span, *rows_a_page],
            env={**kept, **ours, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_heed_signals,
        )

    def _is_at_work(self) -> bool:
        assert self.process.poll() is None, self.process.communicate()
        stored = rows(self.admin, "SELECT FROM backfill.gap_fill_runs WHERE rows_inserted > 0")
        return bool(stored) or self.other is not None

    def _sessions(self) -> int:
        sql = (
            "SELECT FROM pg_stat_activity "
            "WHERE datname = %s AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        return len(rows(self.admin, sql, (self.database,)))

    def _compared(self, cell: Cell) -> tuple[int, list[Any], int]:
        """How many bars are stored, those that differ from the market, and how many of the window are missing."""
        assert_held_is_true(self.admin)
        stored = {row[:3]: row[3:] for row in rows(self.admin, _STORED)}
        now_ms = wall_clock_ms() - 10_000
        true = {}
        for symbol in ("BTC-USDT", "ETH-USDT"):
            for timeframe, step_ms in (("1m", MINUTE_MS), ("1h", HOUR_MS)):
                for bar in MARKET.candles(symbol, timeframe, self.end_ms - 72 * HOUR_MS, now_ms).tolist():
                    if bar[0] + step_ms <= now_ms:
                        true[symbol, timeframe, bar[0]] = bar[1:6]
        wrong = [(key, values, true.get(key)) for key, values in stored.items() if true.get(key) != values]
        if cell.to_now:
            wrong = [one for one in wrong if one[2] is not None or one[0][2] > now_ms]
        due = [key for key in true if self.start_ms <= key[2] < self.end_ms]
        return len(stored), wrong, sum(key not in stored for key in due)

    def _check_log(self, exit_code: int, missing: int, *, to_now: bool) -> dict[str, int]:
        """The log adds up to the candles, and the exit code is the documented one."""
        (inserted,) = rows(self.admin, "SELECT coalesce(sum(rows_inserted), 0) FROM backfill.gap_fill_runs")
        (stored,) = rows(self.admin, "SELECT count(*) FROM backfill.candles")
        assert inserted == stored, f"the log counts {inserted[0]} rows inserted, {stored[0]} are there"
        runs = dict(rows(self.admin, "SELECT status, count(*)::int FROM backfill.gap_fill_runs GROUP BY 1 ORDER BY 1"))
        untrue = "status = 'complete' AND missing_after > 0 OR (finished_at IS NULL) <> (status = 'running')"
        assert rows(self.admin, f"SELECT * FROM backfill.gap_fill_runs WHERE {untrue}") == []
        assert exit_code in (0, 1, 3, -signal.SIGKILL)
        if exit_code == 0:
            assert missing == 0, "exit code 0 means that all is complete"
        if exit_code == 3 and not to_now:
            assert missing > 0, "exit code 3 means that gaps remain"
        if exit_code != -signal.SIGKILL:
            assert "running" not in runs or exit_code == 1, "whoever ends in order finishes its rows"
        return runs


def _last_line(out: str, err: str) -> str:
    lines = [line for line in (err.strip() or out.strip()).splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def _heed_signals() -> None:
    """What a shell runs in the background ignores SIGINT, what nohup runs SIGHUP, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def write_down(outcome: Outcome, folder: Path) -> None:
    """Keep the outcome for the table."""
    folder.mkdir(parents=True, exist_ok=True)
    name = "".join(letter if letter.isalnum() else "_" for letter in f"{outcome.group}_{outcome.fault}")
    (folder / f"{name}.json").write_text(json.dumps(asdict(outcome), indent=1) + "\n")
