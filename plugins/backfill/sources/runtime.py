"""What a fill needs from outside, opened from addresses: stores over Postgres, clients of exchanges, rate budgets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from backfill.config.connections import SourceConnection
from backfill.config.settings import Settings
from backfill.domain.markets import Market
from backfill.domain.venues import venue
from backfill.exchanges.blofin_client import BASE_URL, LIMITS_PER_PERIOD_S, SOURCE, BlofinClient
from backfill.exchanges.ccxt_client import CcxtClient
from backfill.exchanges.ccxt_wire import TRIES
from backfill.sources.blofin_source import BlofinSource
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.storage.migrations import require_current_schema
from backfill.storage.rate_budget import RateBudget

# Sockets kept open to one exchange; more threads than this wait for one of them.
POOLED_SOCKETS = 64


class Runtime:
    """Opens what is asked for and closes it all at its end. Stores are for one thread each, sources for one fill.

    ``connection_of`` tells where and how to reach a source, by its name.
    """

    def __init__(self, database_uri: str, settings: Settings, connection_of: Callable[[str], SourceConnection]) -> None:
        self.settings = settings
        self._database_uri = database_uri
        self._connection_of = connection_of
        self._opened = ExitStack()
        self._budgets: dict[str, RateBudget] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Runtime:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @cached_property
    def store(self) -> CandleStore:
        """The caller's own store. Raises unless the schema is current."""
        store = self._opened.enter_context(self.new_store())
        require_current_schema(store.connection)
        return store

    def new_store(self) -> CandleStore:
        return CandleStore(connect(self._database_uri))

    @property
    def settle_ms(self) -> int:
        return round(self.settings.settle_s * 1000)

    def new_blofin_source(self) -> BlofinSource:
        return BlofinSource(
            self._new_blofin_client(), rows_per_page=self.settings.batch_limit, settle_ms=self.settle_ms
        )

    def new_ccxt_client(self, source: str, markets: Sequence[Market] = (), *, tries: int = TRIES) -> CcxtClient:
        """A client of the venue; given markets it loads none. The caller closes it."""
        connection = self._connection_of(source)
        of_venue = venue(source)
        budget = self._budget(source, of_venue.limits_per_period_s, of_venue.spacing_ms)
        return CcxtClient(
            of_venue,
            base_url=connection.base_url,
            proxies=connection.proxies,
            api_key=connection.api_key,
            api_secret=connection.api_secret,
            timeout_s=connection.timeout_s or self.settings.http_timeout_s,
            options=connection.options,
            spot=of_venue.spot,
            markets=markets,
            before_request=budget.take_turn,
            on_ban=budget.pause,
            tries=tries,
        )

    def ask_blofin_for_its_clock(self) -> tuple[int | None, int]:
        """Blofin's time in ms (None: it did not say) and how many instruments it lists; one request."""
        answer = self._new_blofin_client().instruments()
        return answer.server_ms, len(answer.data)

    def instruments(self) -> Sequence[Mapping[str, Any]]:
        """What Blofin lists, as it describes it."""
        return self._new_blofin_client().instruments().data

    def _new_blofin_client(self) -> BlofinClient:
        budget = self._budget(SOURCE, LIMITS_PER_PERIOD_S, 0)
        return BlofinClient(
            self._session,
            self._blofin.base_url or BASE_URL,
            before_request=budget.take_turn,
            on_ban=budget.pause,
            timeout_s=self._blofin.timeout_s or self.settings.http_timeout_s,
        )

    @cached_property
    def _blofin(self) -> SourceConnection:
        return self._connection_of(SOURCE)

    @cached_property
    def _session(self) -> requests.Session:
        session = self._opened.enter_context(requests.Session())
        adapter = HTTPAdapter(pool_maxsize=POOLED_SOCKETS)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        if self._blofin.proxies:
            session.proxies.update(self._blofin.proxies)
            session.trust_env = False  # else HTTPS_PROXY of the environment would win over the connection's own
        return session

    def _budget(self, source: str, limits_per_period_s: tuple[tuple[int, int], ...], spacing_ms: int) -> RateBudget:
        with self._lock:
            if source not in self._budgets:
                store = self._opened.enter_context(self.new_store())
                self._budgets[source] = RateBudget(
                    store.connection,
                    source,
                    store.source_id(source),
                    limits_per_period_s,
                    spacing_ms=max(spacing_ms, self.settings.request_sleep_ms),
                )
            return self._budgets[source]
