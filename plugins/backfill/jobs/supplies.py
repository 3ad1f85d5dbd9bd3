"""What a fill needs from outside, opened from addresses: stores over Postgres, sources over HTTP, one rate budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from backfill.connections import SourceConnection
from backfill.exchanges.blofin_client import BASE_URL, LIMITS_PER_PERIOD_S, SOURCE, BlofinClient
from backfill.jobs.candle_sources import BlofinSource
from backfill.jobs.declare_universe import declare_universe
from backfill.settings import Settings
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.storage.migrations import require_current_schema
from backfill.storage.rate_budget import RateBudget
from backfill.universe import SeriesWish

# Sockets kept open to one exchange; more threads than this wait for one of them.
POOLED_SOCKETS = 64


class Supplies:
    """Opens what is asked for and closes it all at its end. Stores are for one thread each, sources for one fill."""

    def __init__(self, database_uri: str, settings: Settings, blofin: SourceConnection) -> None:
        self.settings = settings
        self._database_uri = database_uri
        self._blofin = blofin
        self._opened = ExitStack()

    def __enter__(self) -> Supplies:
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

    def new_source(self) -> BlofinSource:
        return BlofinSource(
            self._new_client(),
            rows_per_page=self.settings.batch_limit,
            settle_ms=round(self.settings.settle_s * 1000),
        )

    def declare_universe(
        self, *, ask: bool = True, check: Callable[[Sequence[SeriesWish]], object] = lambda _: None
    ) -> list[SeriesWish]:
        """Carry the universe file over into Postgres; with ``ask``, Blofin may be asked for its listings."""
        return declare_universe(self.store, self.settings, self._instruments if ask else None, check)

    def ask_blofin_for_its_clock(self) -> tuple[int | None, int]:
        """Blofin's time in ms (None: it did not say) and how many instruments it lists; one request."""
        answer = self._new_client().instruments()
        return answer.server_ms, len(answer.data)

    def _instruments(self) -> Sequence[Mapping[str, Any]]:
        return self._new_client().instruments().data

    def _new_client(self) -> BlofinClient:
        return BlofinClient(
            self._session,
            self._blofin.base_url or BASE_URL,
            before_request=self._budget.take_turn,
            on_ban=self._budget.pause,
            timeout_s=self._blofin.timeout_s or self.settings.http_timeout_s,
        )

    @cached_property
    def _session(self) -> requests.Session:
        session = self._opened.enter_context(requests.Session())
        adapter = HTTPAdapter(pool_maxsize=POOLED_SOCKETS)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        session.proxies.update(self._blofin.proxies)
        return session

    @cached_property
    def _budget(self) -> RateBudget:
        store = self._opened.enter_context(self.new_store())
        return RateBudget(
            store.connection,
            SOURCE,
            store.source_id(SOURCE),
            LIMITS_PER_PERIOD_S,
            spacing_ms=self.settings.request_sleep_ms,
        )
