"""Before a venue's first candle of an instrument is stored: which of its markets is it, and do the closes agree?

The overlap is with the home's own candles. While the home has none (it went down before it gave any), two other
venues that agree with each other about the instrument's denomination serve; that proof is made anew as soon as the
home has candles enough (docs/decisions/0013-proof-of-a-listing.md).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from backfill.domain.markets import Market
from backfill.domain.symbols import MIN_OVERLAP_BARS, Instrument, Listing, ListingProof, Refusal, find_listing, prove
from backfill.domain.timeframes import timeframe
from backfill.domain.venues import Venue
from backfill.errors import ExchangeError
from backfill.sources.candle_source import CandlePage
from backfill.sources.ccxt_source import CcxtSource
from backfill.sources.venue_markets import NewClient, VenueMarkets
from backfill.storage.candle_store import CandleStore, SeriesWindow
from backfill.storage.database import fetch_one, translated_errors
from backfill.storage.gap_fill_log import GapFillLog
from backfill.storage.named_queries import query
from backfill.storage.source_health import SourceHealth

log = logging.getLogger(__name__)

# A refusal is looked at again: venues list, rename and delist.
REFUSAL_LIVES_S = 24 * 3600
CLOSES_COMPARED = 200
HOME = "home"


class ProvedListing(NamedTuple):
    """A listing whose closes agree, and the market a client needs to ask for its candles."""

    listing: Listing
    market: Market


@dataclass(frozen=True)
class Candidate:
    """A listing by identity, its scaled closes by open time still to be compared."""

    source: str
    listing: Listing
    market: Market
    closes: Mapping[int, float]


class ListingProver:
    """Finds, proves and remembers the listings of one series' instrument; ``health`` is told how venues answer."""

    def __init__(
        self,
        store: CandleStore,
        window: SeriesWindow,
        new_client: NewClient,
        health: SourceHealth,
        *,
        spot_proxy: bool = False,
    ) -> None:
        self._store = store
        self._window = window
        self._new_client = new_client
        self._health = health
        self._spot_proxy = spot_proxy
        self._markets = VenueMarkets(store, new_client, health)
        self._log = GapFillLog(store.connection)
        self._home_closes: dict[int, float] | None = None

    def proved(self, venue: Venue, others: Sequence[Venue] = ()) -> ProvedListing | Refusal:
        """The venue's proved listing, or why it is refused or cannot be proved yet.

        ``others`` are the venues whose closes may serve while the home has none. Raises an :class:`ExchangeError`
        of this venue; an error of another only costs its vote.
        """
        known = self._known(venue)
        if known is not None and known["same_contract"]:
            if self._still_holds(known):
                return _from_row(known)
            if known["status"] == "refused" and known["age_s"] < REFUSAL_LIVES_S:
                return Refusal(known["reason"])
        candidate = self._candidate(venue)
        if isinstance(candidate, Refusal):
            self._refuse(venue, candidate)
            return candidate
        proof, proved_by = self._proof(candidate, others)
        self._remember(candidate, proof, proved_by)
        if proof.ok:
            return ProvedListing(candidate.listing, candidate.market)
        return Refusal(f"{candidate.listing.venue_symbol} is not proved to be this instrument: {proof.reason}")

    def _still_holds(self, known: Mapping[str, Any]) -> bool:
        if known["status"] != "proved" or known["market"] is None:
            return False
        return known["proved_by"] == HOME or len(self._closes_of_home()) < MIN_OVERLAP_BARS

    def _proof(self, candidate: Candidate, others: Sequence[Venue]) -> tuple[ListingProof, str | None]:
        """The home's verdict; while it has too few candles for one, that of another venue that is well."""
        proof = prove(self._closes_of_home(), candidate.closes)
        if proof.median_ratio is not None:
            return proof, HOME
        for venue in others:
            if not venue.serves(self._window.timeframe) or not self._health.is_well(self._source_id(venue)):
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
        return proof, None

    def _candidate(self, venue: Venue) -> Candidate | Refusal:
        """The venue's market by identity, with the closes of one page."""
        instrument = self._instrument()
        if not instrument.is_linear:
            return Refusal(f"{instrument.symbol} is no linear contract settled in its quote currency")
        markets = self._markets.of(venue)
        found = find_listing(instrument, venue, markets, spot_proxy=self._spot_proxy)
        if isinstance(found, Refusal):
            return found
        market = next(m for m in markets if m.venue_symbol == found.venue_symbol)
        page = self._page(venue, found, market)
        closes = dict(zip(page.sound["open_ms"].tolist(), page.sound["close"].tolist(), strict=True))
        return Candidate(venue.source, found, market, closes)

    def _page(self, venue: Venue, listing: Listing, market: Market) -> CandlePage:
        """The bars to be compared; what became of the question is written down."""
        source_id, bars = self._source_id(venue), timeframe(self._window.timeframe)
        client = self._new_client(venue.source, [market])
        outcome, latency_ms = "candles", None
        try:
            page = CcxtSource(client, listing, bars).ask(self._window.symbol, bars, self._compared_before_ms())
            latency_ms = page.latency_ms
        except ExchangeError as error:
            outcome = type(error).__name__
            self._health.has_failed(source_id, error)
            raise
        finally:
            client.close()
            self._log.attempt(None, source_id, outcome, client.requests_made, 0, latency_ms)
        self._health.has_answered(source_id)
        return page

    def _compared_before_ms(self) -> int:
        home = self._closes_of_home()
        step_ms = timeframe(self._window.timeframe).step_ms
        return max(home) + step_ms if home else self._window.end_ms

    def _closes_of_home(self) -> dict[int, float]:
        if self._home_closes is None:
            params = {"series_id": self._window.series_id, "most": CLOSES_COMPARED}
            with translated_errors():
                rows = self._store.connection.execute(query("candles/select_primary_closes"), params).fetchall()
            self._home_closes = {int(open_ms): float(close) for open_ms, close in rows}
        return self._home_closes

    def _instrument(self) -> Instrument:
        with translated_errors():
            symbol, base, quote, settle, contract_type = fetch_one(
                self._store.connection, query("instruments/select_instrument"), {"symbol": self._window.symbol}
            )
        named = Instrument.named(symbol)
        return Instrument(
            symbol, base or named.base, quote or named.quote, settle, contract_type or named.contract_type
        )

    def _known(self, venue: Venue) -> dict[str, Any] | None:
        """What the last look has found, if it looked as far as this one would."""
        params = {"symbol": self._window.symbol, "source_id": self._source_id(venue)}
        with translated_errors(), self._store.connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(query("instruments/select_listing"), params).fetchall()
        for row in rows:
            found_nothing = row["venue_symbol"] == ""
            if row["instrument_class"] == self._widest_class or (
                row["instrument_class"] == "perpetual" and not found_nothing
            ):
                return row
        return None

    @property
    def _widest_class(self) -> str:
        return "spot_proxy" if self._spot_proxy else "perpetual"

    def _source_id(self, venue: Venue) -> int:
        return self._store.source_id(venue.source)

    def _refuse(self, venue: Venue, refusal: Refusal) -> None:
        log.info("%s at %s: %s", self._window.symbol, venue.source, refusal.reason)
        self._write(venue.source, None, None, ListingProof(0, None, False, refusal.reason), None)

    def _remember(self, candidate: Candidate, proof: ListingProof, proved_by: str | None) -> None:
        self._write(candidate.source, candidate.listing, candidate.market, proof, proved_by)

    def _write(
        self, source: str, listing: Listing | None, market: Market | None, proof: ListingProof, proved_by: str | None
    ) -> None:
        # Too few bars in common is no verdict: it is tried again as soon as there are more.
        undecided = listing is not None and proof.median_ratio is None
        params = {
            "symbol": self._window.symbol,
            "source_id": self._store.source_id(source),
            "venue_symbol": "" if listing is None else listing.venue_symbol,
            "instrument_class": self._widest_class if listing is None else listing.instrument_class,
            "price_scale": 1.0 if listing is None else listing.price_scale,
            "volume_scale": 1.0 if listing is None else listing.volume_scale,
            "status": "proved" if proof.ok else "unproved" if undecided else "refused",
            "reason": proof.reason,
            "overlap_bars": proof.overlap_bars,
            "median_close_ratio": proof.median_ratio,
            "proved_by": proved_by,
            "market": None if market is None else Jsonb(market.as_dict()),
        }
        with translated_errors():
            self._store.connection.execute(query("instruments/upsert_listing"), params)


def _from_row(row: Mapping[str, Any]) -> ProvedListing:
    listing = Listing(row["venue_symbol"], row["instrument_class"], row["price_scale"], row["volume_scale"])
    return ProvedListing(listing, Market(**row["market"]))
