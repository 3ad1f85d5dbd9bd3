"""The markets of a venue, loaded by one caller for all and kept in Postgres for a day."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from psycopg.types.json import Jsonb

from backfill.domain.markets import Market
from backfill.domain.venues import Venue
from backfill.errors import ExchangeError, SourceSkipped
from backfill.exchanges.ccxt_client import CcxtClient
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import translated_errors
from backfill.storage.gap_fill_log import GapFillLog
from backfill.storage.named_queries import query
from backfill.storage.source_health import SourceHealth

MARKETS_LIVE = timedelta(hours=24)
# First key of the advisory locks that say "somebody loads the markets" ("bfmk" in ASCII); the second is the source.
MARKETS_LOCK = 0x6266_6D6B

# A client of a venue; given markets it loads none.
NewClient = Callable[[str, Sequence[Market]], CcxtClient]


class VenueMarkets:
    """Over one connection. ``health`` is told how a load went: without its markets a venue can serve no symbol."""

    def __init__(self, store: CandleStore, new_client: NewClient, health: SourceHealth) -> None:
        self._store = store
        self._new_client = new_client
        self._health = health

    def of(self, venue: Venue) -> list[Market]:
        """All its markets. While somebody loads them the others wait, and if it fails they do not try too.

        Raises an :class:`ExchangeError`.
        """
        source_id = self._store.source_id(venue.source)
        if (kept := self._kept(source_id)) is not None:
            return kept
        with self._one_at_a_time(source_id):
            if (kept := self._kept(source_id)) is not None:
                return kept
            if self._health.is_broken(source_id):
                raise SourceSkipped(venue.source, "skipped, since its markets could not be loaded")
            return self._loaded(venue, source_id)

    def _loaded(self, venue: Venue, source_id: int) -> list[Market]:
        client = self._new_client(venue.source, ())
        outcome = "markets"
        try:
            markets = client.markets()
        except ExchangeError as error:
            outcome = type(error).__name__
            self._health.has_failed(source_id, error, at_once=True)
            raise
        finally:
            client.close()
            GapFillLog(self._store.connection).attempt(None, source_id, outcome, client.requests_made, 0, None)
        self._health.has_answered(source_id)
        params = {"source_id": source_id, "markets": Jsonb([market.as_dict() for market in markets])}
        with translated_errors():
            self._store.connection.execute(query("instruments/upsert_venue_markets"), params)
        return markets

    def _kept(self, source_id: int) -> list[Market] | None:
        params = {"source_id": source_id, "live": MARKETS_LIVE}
        with translated_errors():
            row = self._store.connection.execute(query("instruments/select_venue_markets"), params).fetchone()
        return None if row is None else [Market(**kept) for kept in row[0]]

    @contextmanager
    def _one_at_a_time(self, source_id: int) -> Iterator[None]:
        """Postgres frees the lock when the connection ends, however it ends."""
        key = (MARKETS_LOCK, source_id)
        with translated_errors():
            self._store.connection.execute("SELECT pg_advisory_lock(%s, %s)", key)
        try:
            yield
        finally:
            if not self._store.connection.closed:
                with translated_errors():
                    self._store.connection.execute("SELECT pg_advisory_unlock(%s, %s)", key)
