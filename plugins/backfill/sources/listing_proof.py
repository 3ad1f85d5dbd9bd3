"""Prove which market of a source is the instrument, before its first candle is stored.

For the primary source, which defines the series, identity suffices. Closes of other sources are compared with its
candles or, until it has some, with another source's, and again later (docs/decisions/0013-proof-of-a-listing.md).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from backfill.domain.asset_names import asset_of
from backfill.domain.markets import Market
from backfill.domain.price_kinds import contract_of, kind_of
from backfill.domain.symbols import (
    MIN_OVERLAP_BARS,
    Instrument,
    Listing,
    ListingProof,
    Refusal,
    find_listing,
    named_markets,
    prove,
)
from backfill.domain.timeframes import timeframe
from backfill.domain.venues import VENUES, Venue
from backfill.domain.venues import venue as venue_named
from backfill.errors import ExchangeError
from backfill.sources.candle_source import CandlePage, CandleSource
from backfill.sources.runtime import Runtime
from backfill.sources.venue_markets import VenueMarkets
from backfill.storage.candle_store import CandleStore
from backfill.storage.listings import KnownListing
from backfill.storage.series import SeriesWindow
from backfill.storage.source_health import SourceHealth

log = logging.getLogger(__name__)

# A refusal expires: venues list, rename and delist.
REFUSAL_LIVES_S = 24 * 3600
CLOSES_COMPARED = 200
# Values of proved_by beside the names of sources.
PRIMARY, IDENTITY = "primary", "identity"
ARCHIVES_OF = {known.archive_of: [known.source] for known in VENUES.values() if known.archive_of}
NAMED = ListingProof(0, None, True, "a pair of currencies is what its two codes say")
DEFINES = ListingProof(0, None, True, "the primary source defines the series")


class ProvedListing(NamedTuple):
    """A usable listing, and its market if the client needs one."""

    listing: Listing
    market: Market | None


@dataclass(frozen=True)
class Candidate:
    """A listing by identity; its scaled closes, by open time, prove it."""

    source: str
    listing: Listing
    market: Market
    closes: Mapping[int, float]


class ListingProver:
    def __init__(self, runtime: Runtime, store: CandleStore, window: SeriesWindow, health: SourceHealth) -> None:
        self._runtime = runtime
        self._store = store
        self._window = window
        self._health = health
        self._markets = VenueMarkets(store, runtime.new_client, health)

    def proved(self, venue: Venue, others: Sequence[Venue] = ()) -> ProvedListing | Refusal:
        """The source's usable listing, or why there is none.

        ``others`` may be compared while the primary has no candles; their errors only cost their vote. Raises an
        :class:`ExchangeError` of this source.
        """
        is_primary = self._source_id(venue) == self._window.source_ids[0]
        by_identity = is_primary or self._is_vouched_for(venue)
        if is_primary and venue.names_are_ours:
            return ProvedListing(Listing(contract_of(self._window.symbol), "perpetual", 1.0, 1.0), None)
        known = self._known(venue)
        if known is not None and known.same_contract:
            if self._still_holds(known, by_identity=by_identity):
                return ProvedListing(known.listing, Market(**known.market) if known.market else None)
            if known.status == "refused" and known.age_s < REFUSAL_LIVES_S:
                return Refusal(known.reason or "refused")
        return self._identified(venue) if by_identity else self._compared(venue, others)

    def _is_vouched_for(self, venue: Venue) -> bool:
        """An exchange's archive and API have the same bars: if one is right, so is the other."""
        twins = [venue.archive_of] if venue.archive_of else ARCHIVES_OF.get(venue.source, [])
        for twin in map(venue_named, twins):
            if self._source_id(twin) == self._window.source_ids[0]:
                return True
            known = self._known(twin)
            if known is not None and known.status == "proved" and known.same_contract:
                return True
        return False

    def _identified(self, venue: Venue) -> ProvedListing | Refusal:
        found = self._found(venue)
        if isinstance(found, Refusal):
            self._refuse(venue, found)
            return found
        listing, market = found
        self._write(venue.source, listing, market, DEFINES, IDENTITY)
        return ProvedListing(listing, market)

    def _compared(self, venue: Venue, others: Sequence[Venue]) -> ProvedListing | Refusal:
        candidate = self._candidate(venue)
        if isinstance(candidate, Refusal):
            self._refuse(venue, candidate)
            return candidate
        proof, proved_by = self._proof(candidate, others)
        self._write(candidate.source, candidate.listing, candidate.market, proof, proved_by)
        if proof.ok:
            return ProvedListing(candidate.listing, candidate.market)
        return Refusal(f"{candidate.listing.venue_symbol} is not proved to be this instrument: {proof.reason}")

    def _still_holds(self, known: KnownListing, *, by_identity: bool) -> bool:
        if known.status != "proved" or known.market is None:
            return False
        return by_identity or known.proved_by == PRIMARY or len(self._primary_closes) < MIN_OVERLAP_BARS

    def _proof(self, candidate: Candidate, others: Sequence[Venue]) -> tuple[ListingProof, str | None]:
        """The primary's result or, while it has too few candles, another healthy source's."""
        proof = prove(self._primary_closes, candidate.closes)
        if proof.median_ratio is not None:
            return proof, PRIMARY
        for venue in others:
            if not venue.serves(self._window.timeframe) or not venue.has_kind(kind_of(self._window.symbol)):
                continue
            if not self._health.is_well(self._source_id(venue)):
                continue
            try:
                other = self._candidate(venue)
            except ExchangeError as error:
                log.info("%s cannot vouch for %s: %s", venue.source, candidate.source, error)
                continue
            if isinstance(other, Candidate):
                proof = prove(other.closes, candidate.closes)
                if proof.ok:
                    return proof, venue.source
        asset = asset_of(self._instrument.symbol)
        if proof.median_ratio is None and asset is not None and asset.kind == "pair":
            return NAMED, IDENTITY  # until the primary source has candles
        return proof, None

    def _found(self, venue: Venue) -> tuple[Listing, Market] | Refusal:
        instrument = self._instrument
        markets = named_markets(instrument.symbol, venue)
        if markets is None:
            if not instrument.is_linear:
                return Refusal(f"{instrument.symbol} is no linear contract settled in its quote currency")
            markets = self._markets.of(venue)
        found = find_listing(instrument, venue, markets, spot_proxy=self._window.spot_proxy)
        if isinstance(found, Refusal):
            return found
        return found, next(market for market in markets if market.venue_symbol == found.venue_symbol)

    def _candidate(self, venue: Venue) -> Candidate | Refusal:
        """The market by identity, with a page of closes."""
        found = self._found(venue)
        if isinstance(found, Refusal):
            return found
        listing, market = found
        asked = venue.of_kind(kind_of(self._window.symbol))
        name, splits = self._window.timeframe, self._window.splits
        page = self._page(venue, self._runtime.candle_source(asked, listing, market, name, splits=splits))
        closes = dict(zip(page.candles["open_ms"].tolist(), page.candles["close"].tolist(), strict=True))
        return Candidate(venue.source, listing, market, closes)

    def _page(self, venue: Venue, source: CandleSource) -> CandlePage:
        """The bars to compare; records the request."""
        source_id, bars = self._source_id(venue), timeframe(self._window.timeframe)
        outcome, latency_ms = "candles", None
        try:
            page = source.ask(self._window.symbol, bars, self._compared_before_ms())
            latency_ms = page.latency_ms
        except ExchangeError as error:
            outcome = type(error).__name__
            self._health.has_failed(source_id, error)
            raise
        finally:
            source.close()
            self._store.run_log.attempt(None, source_id, outcome, source.requests_made, 0, latency_ms)
        self._health.has_answered(source_id)
        return page

    def _compared_before_ms(self) -> int:
        step_ms = timeframe(self._window.timeframe).step_ms
        return max(self._primary_closes) + step_ms if self._primary_closes else self._window.end_ms

    @cached_property
    def _primary_closes(self) -> dict[int, float]:
        return self._store.listings.primary_closes(self._window.series_id, CLOSES_COMPARED)

    @cached_property
    def _instrument(self) -> Instrument:
        return self._store.instruments.identity(self._window.symbol)

    def _known(self, venue: Venue) -> KnownListing | None:
        """The last result, if as widely searched."""
        for known in self._store.listings.known(self._window.symbol, self._source_id(venue)):
            found_nothing = known.venue_symbol == ""
            if known.instrument_class == self._widest_class or (
                known.instrument_class == "perpetual" and not found_nothing
            ):
                return known
        return None

    @property
    def _widest_class(self) -> str:
        return "spot_proxy" if self._window.spot_proxy else "perpetual"

    def _source_id(self, venue: Venue) -> int:
        return self._store.source_id(venue.source)

    def _refuse(self, venue: Venue, refusal: Refusal) -> None:
        log.info("%s at %s: %s", self._window.symbol, venue.source, refusal.reason)
        self._write(venue.source, None, None, ListingProof(0, None, False, refusal.reason), None)

    def _write(
        self, source: str, listing: Listing | None, market: Market | None, proof: ListingProof, proved_by: str | None
    ) -> None:
        self._store.listings.write(
            self._window.symbol,
            self._store.source_id(source),
            listing,
            market,
            proof,
            instrument_class=self._widest_class,
            proved_by=proved_by,
        )
