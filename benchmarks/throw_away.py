"""What the benchmarks share: a Postgres of their own that leaves nothing behind, and how figures are told."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from backfill.local.embedded_postgres import EmbeddedPostgres
from backfill.storage.database import connect
from backfill.storage.migrations import migrate


@contextmanager
def throw_away_home() -> Iterator[Path]:
    """A folder with a short name, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="candle-keeper-bench-") as home:
        Path(home).chmod(0o755)  # as root, the server runs under another account
        yield Path(home)


@contextmanager
def paper_exchanges(*names: str, options: Sequence[str] = ()) -> Iterator[dict[str, str]]:
    """In a process of their own, with these options of `backfill.paper`; gives their addresses by name."""
    command = [sys.executable, "-m", "backfill.paper", "--exchanges", ",".join(names), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            started = [json.loads(process.stdout.readline()) for _ in names]
            yield {one["exchange"]: one["url"] for one in started}
        finally:
            process.terminate()


@contextmanager
def throw_away_database() -> Iterator[str]:
    """The URI of an empty, migrated database on a server of its own, which waits for the disk as a real one does."""
    with throw_away_home() as home:
        server = EmbeddedPostgres(home, durable=True)
        try:
            server.start()
            server.ensure_database("benchmark")
            uri = server.uri("benchmark")
            with connect(uri) as connection:
                migrate(connection)
            yield uri
        finally:
            server.remove()


class Stopwatch:
    """Seconds by round and by what was done; what is done more than once in a round is added up."""

    def __init__(self) -> None:
        self.rounds: list[dict[str, float]] = []

    def start_round(self) -> None:
        self.rounds.append({})

    @contextmanager
    def timing(self, what: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.rounds[-1][what] = self.rounds[-1].get(what, 0.0) + time.perf_counter() - began

    def seconds(self, what: str) -> list[float]:
        return [one[what] for one in self.rounds]

    def ratios(self, what: str, beside: str) -> list[float]:
        """How many times as fast as ``beside`` it was, in each round."""
        return [one[beside] / one[what] for one in self.rounds]


def spread(values: Sequence[float], form: str) -> str:
    """Median, lowest and highest: on a busy machine one number would say too much."""
    low, middle, high = (format(v, form) for v in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low} to {high})"
