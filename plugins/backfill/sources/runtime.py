"""What jobs need from outside: stores, clients of sources, rate budgets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import cached_property, partial
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from backfill.config.connections import SourceConnection
from backfill.config.settings import MAX_BATCH_LIMIT, Settings
from backfill.config.universe_file import load_universe
from backfill.config.universe_model import Universe
from backfill.domain.markets import Market
from backfill.domain.price_kinds import TRADE, PriceKind
from backfill.domain.registered_sources import registered_source
from backfill.domain.symbols import Listing
from backfill.domain.timeframes import timeframe
from backfill.domain.venues import Venue, venue
from backfill.errors import ConfigurationError
from backfill.exchanges.archive_client import ArchiveClient
from backfill.exchanges.blofin_client import BASE_URL, BlofinClient
from backfill.exchanges.blofin_client import SOURCE as BLOFIN
from backfill.exchanges.ccxt_client import CcxtClient
from backfill.exchanges.ccxt_wire import TRIES
from backfill.exchanges.source_contract import CandleClient, RegisteredSource, SourceAccess
from backfill.sources.archive_source import ArchiveSource
from backfill.sources.blofin_source import BlofinSource
from backfill.sources.candle_source import CandleSource, MarketClient
from backfill.sources.ccxt_source import CcxtSource
from backfill.sources.funding_source import AskForFunding
from backfill.sources.stop_request import StopRequest
from backfill.sources.window_source import WindowSource
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.storage.rate_budget import PauseCheck, Pool

# Threads beyond this wait for a socket.
POOLED_SOCKETS = 64


class Runtime:
    """Opens resources and closes them at its end. A store is for one thread, a source for one fill.

    ``read_only``: write nothing, so take no turns in the rate budget; for a few requests only. ``stop``: ends its work
    in order.
    """

    def __init__(
        self,
        database_uri: str,
        settings: Settings,
        connection_of: Callable[[str], SourceConnection],
        *,
        read_only: bool = False,
    ) -> None:
        self.settings = settings
        self._read_only = read_only
        self._database_uri = database_uri
        self._connection_of = connection_of
        self.stop = StopRequest()
        self._opened = ExitStack()
        self._budgets: dict[tuple[str, Pool], PauseCheck] = {}
        self._sessions: dict[str, requests.Session] = {}
        self._idle_clients: dict[tuple[str, PriceKind], list[CcxtClient]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Runtime:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @cached_property
    def store(self) -> CandleStore:
        """The caller's own store; raises unless the schema is current."""
        store = self._opened.enter_context(self.new_store())
        store.require_current_schema()
        return store

    def new_store(self) -> CandleStore:
        """A store on a new connection, which the caller closes."""
        return CandleStore(connect(self._database_uri, sleep=self.stop.sleep))

    @cached_property
    def _budget_store(self) -> CandleStore:
        return self._opened.enter_context(self.new_store())

    def prepare_budgets(self) -> None:
        """Open the one connection of all rate budgets, before workers take the last ones."""
        with self._lock:
            _ = self._budget_store

    @property
    def settle_ms(self) -> int:
        """How long a bar must be closed before it is used."""
        return round(self.settings.settle_s * 1000)

    @cached_property
    def universe(self) -> Universe:
        """The universe file, read once."""
        return load_universe(self.settings.universe, self.settings.profile)

    def rows_per_page(self, source: str, timeframe_name: str | None = None, kind: PriceKind = TRADE) -> int:
        """Rows per request: the source's, or fewer by BACKFILL_BATCH_LIMIT."""
        return self._rows_of(venue(source).of_kind(kind), timeframe_name)

    def _rows_of(self, of_venue: Venue, timeframe_name: str | None) -> int:
        limit = self.settings.batch_limit
        rows = of_venue.rows_per_page if timeframe_name is None else of_venue.rows(timeframe_name)
        return rows if limit == MAX_BATCH_LIMIT else min(rows, limit)

    def new_client(self, source: str, *, tries: int = TRIES) -> MarketClient:
        """A client that lists the source's markets; the caller closes it."""
        kind = venue(source).client
        if kind == "archive":
            return self._archive_client(source)
        if kind == "registered":
            return self._registered_client(source, tries=tries)
        return self._blofin_client(tries) if kind == "blofin" else self._ccxt_client(venue(source), tries=tries)

    def candle_source(
        self,
        of_venue: Venue,
        listing: Listing,
        market: Market | None,
        timeframe_name: str,
        *,
        stands_in: bool = True,
        splits: str | None = None,
    ) -> CandleSource:
        """A source for ``listing``; the caller closes it. ``splits``: which prices of a stock are asked for."""
        bars, rows = timeframe(timeframe_name), self._rows_of(of_venue, timeframe_name)
        if of_venue.client == "blofin":
            return BlofinSource(self._blofin_client(), rows, self.settle_ms, listing, of_venue.kind)
        if of_venue.client == "archive":
            return ArchiveSource(self._archive_client(of_venue.source), listing, bars)
        if of_venue.client == "registered":
            asked = self._registered_client(of_venue.source, splits=splits)
            return WindowSource(of_venue, asked, listing, bars, self.settle_ms, rows_per_page=rows, stands_in=stands_in)
        client, give_back = self._lent_client(of_venue, market)
        return CcxtSource(
            client, listing, bars, self.settle_ms, rows_per_page=rows, stands_in=stands_in, give_back=give_back
        )

    def _lent_client(self, of_venue: Venue, market: Market | None) -> tuple[CcxtClient, Callable[[], None]]:
        """A client for one series, and how it ends.

        One that another series is done with serves the next: its connection is open, and its ccxt class is made, which
        costs as much CPU as a small page.
        """
        if market is None:  # it loads all
            client = self._ccxt_client(of_venue)
            return client, client.close
        idle = self._idle_clients.setdefault((of_venue.source, of_venue.kind), [])
        try:
            client = idle.pop()
        except IndexError:
            client = self._ccxt_client(of_venue, [market])
            self._opened.callback(client.close)
        else:
            client.turn_to([market])
        return client, partial(idle.append, client)

    def ask_for_funding(self, of_venue: Venue, listing: Listing, market: Market | None) -> AskForFunding:
        """How the payments of ``listing`` are asked for."""
        if of_venue.client == "blofin":
            return partial(_blofin_funding, self._blofin_client(), listing.venue_symbol)
        client = self._funding_client(of_venue, market)
        self._opened.callback(client.close)
        return partial(client.funding, listing.venue_symbol)

    def funding_interval_ms(self, of_venue: Venue, listing: Listing, market: Market | None) -> int:
        """The interval that the venue names now, where it lists them."""
        with closing(self._funding_client(of_venue, market)) as client:
            return client.funding_interval_ms(listing.venue_symbol)

    def _funding_client(self, of_venue: Venue, market: Market | None) -> CcxtClient:
        markets = [market] if market else ()
        if not of_venue.funding_limits_per_period_s:
            return self._ccxt_client(of_venue, markets)
        return self._ccxt_client(of_venue, markets, also=self._budget(of_venue.source, "funding"))

    def _ccxt_client(
        self, of_venue: Venue, markets: Sequence[Market] = (), *, tries: int = TRIES, also: PauseCheck | None = None
    ) -> CcxtClient:
        """Loads no markets if given some. ``also``: a budget beside the one of all requests."""
        connection, budget = self._connection_of(of_venue.source), self._budget(of_venue.source)
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
            before_request=self._turns(*([also] if also else []), budget),
            on_ban=budget.pause,
            tries=tries,
            sleep=self.stop.sleep,
        )

    def _blofin_client(self, tries: int = TRIES) -> BlofinClient:
        budget = self._budget(BLOFIN)
        return BlofinClient(
            self._session(BLOFIN, self._blofin),
            self._blofin.base_url or BASE_URL,
            before_request=self._turns(budget),
            on_ban=budget.pause,
            sleep=self.stop.sleep,
            timeout_s=self._blofin.timeout_s or self.settings.http_timeout_s,
            tries=tries,
        )

    def _turns(self, *budgets: PauseCheck) -> Callable[[], None]:
        def take_turn() -> None:
            for budget in budgets:
                self.stop.check()
                budget.take_turn()

        return take_turn

    def _archive_client(self, source: str) -> ArchiveClient:
        connection, budget = self._connection_of(source), self._budget(source)
        return ArchiveClient(
            self._session(source, connection),
            connection.base_url,
            before_request=self._turns(budget),
            on_ban=budget.pause,
            timeout_s=connection.timeout_s or self.settings.http_timeout_s,
        )

    def _registered_client(self, source: str, *, tries: int = TRIES, splits: str | None = None) -> CandleClient:
        connection, budget, registered = self._connection_of(source), self._budget(source), registered_source(source)
        if not isinstance(registered, RegisteredSource):
            raise ConfigurationError(f"source {source!r}: its entry point names no RegisteredSource")
        access = SourceAccess(
            session=self._session(source, connection),
            base_url=connection.base_url,
            api_key=connection.api_key,
            api_secret=connection.api_secret,
            options=connection.options,
            timeout_s=connection.timeout_s or self.settings.http_timeout_s,
            before_request=self._turns(budget),
            on_limit=budget.pause,
            sleep=self.stop.sleep,
            tries=tries,
            splits=splits,
        )
        return registered.open(access)

    @cached_property
    def _blofin(self) -> SourceConnection:
        return self._connection_of(BLOFIN)

    def _session(self, source: str, connection: SourceConnection) -> requests.Session:
        """One session a source, kept to the end."""
        with self._lock:
            if source not in self._sessions:
                session = self._opened.enter_context(requests.Session())
                adapter = HTTPAdapter(pool_maxsize=POOLED_SOCKETS)
                session.mount("https://", adapter)
                session.mount("http://", adapter)
                if connection.proxies:
                    session.proxies.update(connection.proxies)
                    session.trust_env = False  # else HTTPS_PROXY would win
                self._sessions[source] = session
            return self._sessions[source]

    def _budget(self, source: str, pool: Pool = "requests") -> PauseCheck:
        with self._lock:
            if (source, pool) not in self._budgets:
                self._budgets[source, pool] = self._new_budget(source, pool)
            return self._budgets[source, pool]

    def _new_budget(self, source: str, pool: Pool) -> PauseCheck:
        of_venue, store = venue(source), self._budget_store
        if self._read_only:
            return store.pause_check(source)
        if pool == "funding":
            return store.rate_budget(source, of_venue.funding_limits_per_period_s, pool=pool)
        spacing_ms = max(of_venue.spacing_ms, self.settings.request_sleep_ms)
        return store.rate_budget(source, of_venue.limits_per_period_s, spacing_ms=spacing_ms)


def _blofin_funding(client: BlofinClient, inst_id: str, before_ms: int) -> tuple[list[tuple[Any, Any]], int | None]:
    answer = client.funding(inst_id, before_ms)
    rows = [row if isinstance(row, dict) else {} for row in answer.data]
    return [(row.get("fundingTime"), row.get("fundingRate")) for row in rows], answer.server_ms
