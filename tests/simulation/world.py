"""A simulated world from one seed: clock, network, exchanges, Postgres faults and deaths, with a trace of it all."""

from __future__ import annotations

import hashlib
import logging
import random
import time as real_time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import requests

import backfill.exchanges.ccxt_client as ccxt_client
import backfill.jobs.fill.each_series as each_series
import backfill.sources.fetch as fetch
import backfill.sources.runtime as runtime_module
import backfill.sources.stop_request as stop_request
import backfill.storage.database as database
import backfill.storage.session as session
from backfill.config.connections import SourceConnection
from backfill.config.settings import Settings
from backfill.config.universe_model import Validation
from backfill.errors import BackfillError
from backfill.jobs.fill.fill_gaps import FillReport
from backfill.jobs.fill.fill_universe import fill_series
from backfill.jobs.validate.validate_universe import validate_universe
from backfill.paper.coins import LIQUID_COINS
from backfill.paper.server import PaperExchange
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.paper.venues import paper_exchange
from backfill.sources.runtime import Runtime
from backfill.storage.candle_store import CandleStore
from backfill.storage.gap_fill_log import RunIdentity
from backfill.storage.series import Selection, SeriesWindow
from integration.helpers import HOUR_MS, NOW_MS
from simulation.clock import SEARCH_PATH, SimClock, engine_lives_by
from simulation.network import REQUEST_FAULTS, SimNetwork
from simulation.postgres import DISK_FULL, READ_ONLY, ROLLED_BACK, Backends, SimConnection, SimSession
from simulation.threads import DoneAtOnce

SYMBOLS = ("BTC-USDT", "ETH-USDT")
HISTORY_MS = {"1m": HOUR_MS, "1h": 24 * HOUR_MS}
ROWS_PER_PAGE = 20
# A second source gives candles once a page of it has 30 bars in common with the primary's.
ROWS_THAT_PROVE = 32
EVERY_MS = HOUR_MS // 2
SETTLE_MS = 5000
# Damages that a sane reader notices; a row that lies plausibly is for validation, not for this.
PAGE_DAMAGES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("moved", {"by": "any", "rows": 2}),
    ("times_swapped", {}),
    ("duplicated", {"rows": 2}),
    ("garbled", {"rows": 2}),
    ("reordered", {"rows": 2}),
    ("short_page", {}),
    ("short_page", {"keep": "oldest"}),
    ("empty_page", {}),
    ("lagging", {"rows": 5}),
    ("left_out", {"rows": 2}),
)
FAULTY_RUNS = 3
_DECLARED = """
WITH named AS (
    INSERT INTO backfill.sources (name) SELECT unnest(%(sources)s::text[]) RETURNING id
), described AS (
    INSERT INTO backfill.instruments (symbol, state, described_by, contract_type, settle_currency)
    SELECT symbol, 'live', (SELECT min(id) FROM named), 'linear', 'USDT' FROM unnest(%(symbols)s::text[]) AS symbol
    RETURNING id
)
INSERT INTO backfill.series (instrument_id, timeframe, wanted, history_ms, source_ids)
SELECT described.id, timeframe, true, history_ms, (SELECT array_agg(id ORDER BY id) FROM named)
FROM described, unnest(%(timeframes)s::text[], %(histories_ms)s::bigint[]) AS every (timeframe, history_ms)
ORDER BY described.id, timeframe DESC
"""


class ProcessDied(BaseException):
    """`kill -9`: nothing after it happens."""


@dataclass
class Weather:
    """How likely faults are in this run, per request or statement."""

    requests: float = 0.0
    pages: float = 0.0
    statements: float = 0.0
    connects: float = 0.0
    deaths: float = 0.0
    lasting: str | None = None
    kinds: Sequence[str] = field(default_factory=tuple)


FAIR = Weather()


@cache
def _market(quiet_share: float) -> SyntheticMarket:
    """It never changes, so worlds share its days."""
    return SyntheticMarket(seed=7, coins=LIQUID_COINS[:3], quiet_share=quiet_share, quiet_bars="absent")


class World:
    """One seed's world on a database with the simulated clock."""

    def __init__(
        self,
        seed: int,
        backends: Backends,
        *,
        history_ms: dict[str, int] = HISTORY_MS,
        rows_per_page: int | None = None,
    ) -> None:
        self.seed = seed
        self.backends = backends
        self.uri = backends.uri
        self.admin = backends.admin
        self.history_ms = history_ms
        self.dice = random.Random(seed)
        self.clock = SimClock(NOW_MS)
        self.weather = FAIR
        self.is_dead = False
        self.trace: list[str] = []
        self.deaths = self.faults = 0
        self.served: set[tuple[Any, ...]] = set()
        self.connections: list[SimConnection] = []
        self.network = SimNetwork(self)
        quiet = self.dice.choice([0.0, 0.0, 0.1])
        self.market = _market(quiet)
        self.skew_ms = self.dice.choice([0, 0, 0, -2000, 2000, -300_000, 300_000])
        self.sources = self.dice.choice([("blofin",), ("blofin",), ("blofin", "okx")])
        self.rows_per_page = rows_per_page or (ROWS_THAT_PROVE if "okx" in self.sources else ROWS_PER_PAGE)
        self.network.exchanges["blofin"] = PaperExchange(self.market, clock=self.exchange_ms)
        if "okx" in self.sources:
            self.network.exchanges["okx"] = paper_exchange("okx", self.market, clock=self.exchange_ms)
        self._runs = 0

    def exchange_ms(self) -> int:
        return self.clock.now_ms + self.skew_ms

    # -- what happens

    def saw(self, what: str) -> None:
        self.trace.append(what)

    def step(self, what: str) -> None:
        """One thing that the process does; it may be its last."""
        if self.is_dead:
            raise ProcessDied
        self.saw(f"{self.clock.now_ms} {what}")
        if self.weather.deaths and self.dice.random() < self.weather.deaths:
            self.saw("  the process dies")
            self.deaths += 1
            self.is_dead = True
            raise ProcessDied

    def request_fault(self) -> str | None:
        return self._drawn(self.weather.requests, self.weather.kinds or REQUEST_FAULTS)

    def page_damage(self) -> tuple[str, dict[str, Any]] | None:
        if self._drawn(self.weather.pages, ("a page",)) is None:
            return None
        return self.dice.choice(PAGE_DAMAGES)

    def sql_fault(self, when: str, what: str) -> str | None:
        """``after`` only the session may end."""
        if self.weather.lasting == DISK_FULL and (when, what) == ("before", "COMMIT") and self.dice.random() < 0.5:
            return DISK_FULL
        kinds = ("after",) if when == "after" else ("before", *ROLLED_BACK)
        return self._drawn(self.weather.statements / 2, kinds)

    def refused_connection(self) -> str | None:
        return self._drawn(
            self.weather.connects,
            ("FATAL:  sorry, too many clients already", "FATAL:  the database system is starting up", "no route"),
        )

    def _drawn(self, probability: float, kinds: Sequence[str]) -> str | None:
        if not probability or self.is_dead or self.dice.random() >= probability:
            return None
        self.faults += 1
        return self.dice.choice(kinds)

    def wait_until_gone(self, pid: int) -> None:
        while self.admin.execute("SELECT FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone() is not None:
            real_time.sleep(0.0005)

    # -- what is done

    @contextmanager
    def living(self) -> Iterator[None]:
        """Within: the engine lives in this world, in one thread at a time."""
        changes = [
            (session, "NEEDED", {**session.NEEDED, "search_path": SEARCH_PATH}),
            (database, "Session", lambda address, **how: SimSession(self, address, **how)),
            (runtime_module, "HTTPAdapter", lambda **_: self.network),
            (ccxt_client, "HTTPAdapter", lambda **_: self.network),
            (requests.sessions, "get_environ_proxies", lambda *_, **__: {}),
            (each_series, "SERIES_AT_ONCE", 1),
            (each_series, "ThreadPoolExecutor", DoneAtOnce),
            (fetch, "ThreadPoolExecutor", DoneAtOnce),
            (stop_request, "SLICE_S", 3600.0),
        ]
        before = [(module, name, getattr(module, name)) for module, name, _ in changes]
        random_state = random.getstate()
        logging.disable(logging.CRITICAL)
        try:
            for module, name, value in changes:
                setattr(module, name, value)
            random.seed(self.seed)  # tenacity's waits
            with engine_lives_by(self.clock):
                yield
        finally:
            logging.disable(logging.NOTSET)
            random.setstate(random_state)
            for module, name, value in before:
                setattr(module, name, value)

    def declare(self) -> None:
        """The series that this world wants."""
        self.admin.execute(
            _DECLARED,
            {
                "sources": list(self.sources),
                "symbols": list(SYMBOLS),
                "timeframes": list(self.history_ms),
                "histories_ms": list(self.history_ms.values()),
            },
        )

    def run(self, weather: Weather, *, validate: bool = False) -> list[FillReport] | str:
        """One run of the command line's `fill`, to its end, its error, or its death."""
        self.weather, self.is_dead = weather, False
        self._runs += 1
        self.saw(f"run {self._runs} {weather}")
        who = RunIdentity("sim", f"run {self._runs}", "fill")
        settings = Settings(batch_limit=self.rows_per_page, pages_in_flight=1, http_timeout_s=10)
        try:
            with ExitStack() as opened:
                runtime = opened.enter_context(Runtime(self.uri, settings, self._connection_of))
                store = opened.enter_context(runtime.new_store())
                store.run_log.abandon_dead_runs()
                windows = store.windows(Selection(store.now(), runtime.settle_ms))
                reports = list(fill_series(runtime, windows, who))
                if validate:
                    list(validate_universe(runtime, windows, replace_task(who), Validation(), at=store.now()))
            outcome: list[FillReport] | str = reports
        except ProcessDied:
            outcome = "died"
        except BackfillError as error:
            outcome = f"{type(error).__name__}: {error}".replace(self.uri, "the database")
        for connection in self.connections:
            connection.end()
        self.connections.clear()
        self.weather, self.is_dead = FAIR, False
        self.saw(f"ended {outcome}")
        self.clock.advance(EVERY_MS)
        return outcome

    def windows(self) -> list[SeriesWindow]:
        """As the next run will see them."""
        with CandleStore(database.connect(self.uri)) as store:
            found = store.windows(Selection(store.now(), SETTLE_MS))
        self.connections.clear()
        return found

    def _connection_of(self, source: str) -> SourceConnection:
        return SourceConnection(base_url=f"http://{source}.paper")

    def storm(self) -> Weather:
        """The weather of one faulty run."""
        dice = self.dice
        some = lambda *rates: dice.choice((0.0, *rates))  # noqa: E731
        return Weather(
            requests=some(0.05, 0.3),
            pages=some(0.1, 0.5),
            statements=some(0.005, 0.05),
            connects=some(0.1),
            deaths=some(0.003, 0.02),
            lasting=dice.choice((*(None,) * 9, READ_ONLY, DISK_FULL)),
            kinds=dice.choice(((), (), ("closed",), ("error_503",), ("geo_block",), ("limited_7s", "banned"))),
        )

    def digest(self) -> str:
        """The hash of all that has happened."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()[:16]


def replace_task(who: RunIdentity) -> RunIdentity:
    return replace(who, task_id="validate")
