"""A source's markets, loaded by one caller and kept in Postgres for a day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from backfill.domain.markets import Market
from backfill.domain.venues import Venue
from backfill.errors import ExchangeError, SourceSkipped
from backfill.sources.candle_source import MarketClient
from backfill.storage.candle_store import CandleStore
from backfill.storage.source_health import SourceHealth

MARKETS_LIVE = timedelta(hours=24)

# The caller closes the client.
NewClient = Callable[[str], MarketClient]


def load_markets(store: CandleStore, client: MarketClient, source_id: int) -> list[Market]:
    """Load and store the markets, count the request, close ``client``; raises an :class:`ExchangeError`."""
    outcome = "markets"
    try:
        markets = client.markets()
    except ExchangeError as error:
        outcome = type(error).__name__
        raise
    finally:
        client.close()
        store.run_log.attempt(None, source_id, outcome, client.requests_made, 0, None)
    store.listings.keep_markets(source_id, markets)
    return markets


class VenueMarkets:
    """Markets by venue; ``health`` records loads."""

    def __init__(self, store: CandleStore, new_client: NewClient, health: SourceHealth) -> None:
        self._store = store
        self._new_client = new_client
        self._health = health

    def of(self, venue: Venue) -> list[Market]:
        """All its markets. While one caller loads, others wait; if it fails, they do not try.

        Raises an :class:`ExchangeError`.
        """
        source_id = self._store.source_id(venue.source)
        if (kept := self._kept(source_id)) is not None:
            return kept
        with self._store.listings.loading_markets(source_id):
            if (kept := self._kept(source_id)) is not None:
                return kept
            if self._health.is_broken(source_id):
                raise SourceSkipped(venue.source, "skipped, since its markets could not be loaded")
            return self._loaded(venue, source_id)

    def _loaded(self, venue: Venue, source_id: int) -> list[Market]:
        try:
            markets = load_markets(self._store, self._new_client(venue.source), source_id)
        except ExchangeError as error:
            self._health.has_failed(source_id, error, at_once=True)
            raise
        self._health.has_answered(source_id)
        return markets

    def _kept(self, source_id: int) -> list[Market] | None:
        return self._store.listings.kept_markets(source_id, MARKETS_LIVE)
