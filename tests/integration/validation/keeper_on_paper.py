"""The whole keeper over exchanges on paper that serve given candles: no pytest, so that a benchmark can run it too."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import numpy as np

from backfill.config.connections import SourceConnection
from backfill.config.settings import Settings
from backfill.config.universe_model import Validation
from backfill.domain.timeframes import timeframe as timeframe_named
from backfill.domain.timeframes import utc
from backfill.jobs.fill.fill_universe import fill_series
from backfill.jobs.validate.validate_series import ValidationReport
from backfill.jobs.validate.validate_universe import validate_universe
from backfill.paper.given_market import GivenMarket
from backfill.paper.limits import NO_LIMITS
from backfill.paper.market import Candles
from backfill.paper.server import PaperExchange
from backfill.paper.venues import paper_exchange
from backfill.sources.runtime import Runtime
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.storage.findings import FindingsLog
from backfill.storage.gap_fill_log import RunIdentity
from backfill.storage.series import SeriesWindow
from integration.helpers import DAY_MS, ms, one, rows, wanted_series
from reference import Market

Given = Mapping[tuple[str, str], Candles]
PRIMARY = "blofin"
# Every page is due in every run.
THOROUGH = Validation(every="30m")
MOST_RUNS = 20


class Keeper:
    """One database, the exchanges it asks and the candles that they may have.

    ``at_ms``: their clock, a day after the last of their candles.
    """

    def __init__(self, database_uri: str, market: Market) -> None:
        self._opened = ExitStack()
        self._database_uri = database_uri
        self._market = market
        self._exchanges: dict[str, PaperExchange] = {}
        self._runs = itertools.count(1)
        self.store = self._opened.enter_context(CandleStore(connect(database_uri)))
        self.at_ms = 0

    def __enter__(self) -> Keeper:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    # -- what is asked

    def read(self, name: str, first: str | None = None, past: str | None = None) -> Candles:
        """A file's bars, those that open in [first, past)."""
        bars = self._market(name)
        first_ms, past_ms = ms(first) if first else 0, ms(past) if past else np.inf
        return bars[(bars["open_ms"] >= first_ms) & (bars["open_ms"] < past_ms)]

    def source_has(self, name: str, given: Given) -> None:
        """From now on the source serves these candles and no others."""
        self.at_ms = max(self.at_ms, *(int(candles["open_ms"][-1]) + 2 * DAY_MS for candles in given.values()))
        view = {"difference_bp": 0, "own_volumes": False} if name != PRIMARY else {}
        exchange = paper_exchange(name, GivenMarket(given), limits=NO_LIMITS, clock=lambda: self.at_ms, **view)
        self._exchanges[name] = self._opened.enter_context(exchange)

    def asked(self, name: str) -> int:
        return self._exchanges[name].requests.total

    # -- what it does

    def keep(self, symbol: str, timeframe: str, candles: Candles, sources: Sequence[str] = (PRIMARY,)) -> SeriesWindow:
        """Declare a series from the first of ``candles`` to the last."""
        wanted = wanted_series(
            self.store, symbol, timeframe, sources=sources, state="live", history_ms=9999 * DAY_MS, now_ms=self.at_ms
        )
        linear = "UPDATE backfill.instruments SET contract_type = 'linear', settle_currency = 'USDT'"
        self.store.connection.execute(linear)
        end_ms = int(candles["open_ms"][-1]) + timeframe_named(timeframe).step_ms
        return wanted._replace(start_ms=int(candles["open_ms"][0]), end_ms=end_ms)

    def fill(self, *windows: SeriesWindow, **how: Any) -> None:
        """One fill of each from the primary."""
        with self._runtime() as runtime:
            for report in fill_series(runtime, windows, self._who("fill"), **{"only": [PRIMARY], **how}):
                assert report.error is None, report

    def validate(self, *windows: SeriesWindow, validation: Validation = THOROUGH, **how: Any) -> list[ValidationReport]:
        """One validation of each."""
        with self._runtime() as runtime:
            who = self._who("validate")
            return list(validate_universe(runtime, windows, who, validation, at=utc(self.at_ms), **how))

    def validate_whole(self, window: SeriesWindow, **how: Any) -> ValidationReport:
        """As many validations as it takes until nothing is left to ask; the last report."""
        for _ in range(MOST_RUNS):
            (report,) = self.validate(window, **how)
            if report.requests == 0:
                return report
        raise AssertionError(f"still asking after {MOST_RUNS} runs: {report}")

    def everything_is_due(self) -> None:
        """As if what was looked at and found had been so long ago: it is looked at again, and asked for again."""
        self.store.connection.execute("UPDATE backfill.findings SET found_at = 'epoch', last_seen_at = 'epoch'")

    def punch(self, window: SeriesWindow, opens_ms: Iterable[int]) -> list[tuple[Any, ...]]:
        """Delete bars, as a person with psql does; give those that are left."""
        sql = "DELETE FROM backfill.candles WHERE series_id = %s AND backfill.epoch_ms(open_time) = ANY (%s)"
        self.store.connection.execute(sql, (window.series_id, [int(open_ms) for open_ms in opens_ms]))
        return self.candles(window)

    # -- what it has

    def findings(self, *kinds: str, status: str | None = "open") -> list[dict[str, Any]]:
        """What was found, oldest bar first; of these kinds, or all."""
        found = FindingsLog(self.store.connection).all(status=status, kinds=kinds or None)
        return sorted(found, key=lambda one: (one["start_time"], one["field"] or ""))

    def kinds(self) -> dict[str, int]:
        """How many findings are open, by kind."""
        return dict(
            rows(self.store.connection, "SELECT kind, count(*) FROM backfill.findings WHERE status = 'open' GROUP BY 1")
        )

    def proved(self, window: SeriesWindow, what: str) -> int:
        """How many bars are known to be `lost`, or to have had `no_trade`."""
        sql = f"SELECT backfill.covered_ms({what}) / step_ms FROM backfill.series WHERE id = %s"
        return int(one(self.store.connection, sql, (window.series_id,)))

    def gaps(self, window: SeriesWindow) -> int:
        return self.store.open_work(window).missing_candles

    def revisions(self) -> dict[str, int]:
        return dict(rows(self.store.connection, "SELECT reason, count(*) FROM backfill.revisions GROUP BY 1"))

    def candles(self, window: SeriesWindow) -> list[tuple[Any, ...]]:
        """Open time in ms, prices and volume of each stored bar, oldest first."""
        sql = (
            "SELECT backfill.epoch_ms(open_time), open, high, low, close, volume FROM backfill.candles "
            "WHERE series_id = %s ORDER BY open_time"
        )
        return rows(self.store.connection, sql, (window.series_id,))

    def _runtime(self) -> Runtime:
        def connection_of(source: str) -> SourceConnection:
            return SourceConnection(base_url=self._exchanges[source].url)

        return Runtime(self._database_uri, Settings(), connection_of)

    def _who(self, task_id: str) -> RunIdentity:
        return RunIdentity("real_faults", f"run {next(self._runs)}", task_id)
