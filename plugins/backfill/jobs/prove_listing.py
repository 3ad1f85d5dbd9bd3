"""Before a venue's first candle of an instrument is stored: which of its markets is it, and do the closes agree?

The overlap is with the home's own candles. While the home has none (it went down before it gave any), two other
venues that agree with each other about the instrument's denomination serve; that proof is made anew as soon as the
home has candles (docs/decisions/0013-proof-of-a-listing.md).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from backfill.domain.symbols import Instrument, Listing, Proof, Refusal, find_listing, prove
from backfill.domain.timeframes import timeframe
from backfill.errors import ExchangeError
from backfill.exchanges.ccxt_client import CcxtClient
from backfill.exchanges.ccxt_markets import Market
from backfill.exchanges.venues import Venue
from backfill.jobs.ccxt_source import CcxtSource
from backfill.storage.candle_store import CandleStore, SeriesWindow
from backfill.storage.database import fetch_one, translated_errors
from backfill.storage.named_queries import query

log = logging.getLogger(__name__)

# A refusal is looked at again: venues list, rename and delist.
REFUSAL_LIVES_S = 24 * 3600
MARKETS_LIVE = timedelta(hours=24)
CLOSES_COMPARED = 200
HOME = "home"

# A client of a venue; given markets it loads none.
NewClient = Callable[[str, Sequence[Market]], CcxtClient]


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
    """Finds, proves and remembers the listings of one series' instrument."""

    def __init__(
        self, store: CandleStore, window: SeriesWindow, new_client: NewClient, *, spot_proxy: bool = False
    ) -> None:
        self._store = store
        self._window = window
        self._new_client = new_client
        self._spot_proxy = spot_proxy
        self._home_closes: dict[int, float] | None = None

    def proved(self, venue: Venue, others: Sequence[Venue] = ()) -> ProvedListing | None:
        """The venue's proved listing, or None if it was refused or cannot be proved yet.

        ``others`` are the venues whose closes may serve while the home has none. Raises an :class:`ExchangeError`
        of this venue; an error of another only costs its vote.
        """
        known = self._known(venue)
        if known is not None and self._still_holds(known):
            return _from_row(known)
        if known is not None and known["status"] == "refused" and known["age_s"] < REFUSAL_LIVES_S:
            return None
        candidate = self._candidate(venue)
        if isinstance(candidate, Refusal):
            self._refuse(venue, candidate)
            return None
        proof, proved_by = self._proof(candidate, others)
        self._remember(candidate, proof, proved_by)
        if not proof.ok:
            log.warning("%s: %s of %s is not used: %s", self._window.symbol, candidate.listing.venue_symbol,
                        venue.source, proof.reason)  # fmt: skip
        return ProvedListing(candidate.listing, candidate.market) if proof.ok else None

    def _still_holds(self, known: Mapping[str, Any]) -> bool:
        if known["status"] != "proved" or known["market"] is None or not known["same_contract"]:
            return False
        return known["proved_by"] == HOME or not self._closes_of_home()

    def _proof(self, candidate: Candidate, others: Sequence[Venue]) -> tuple[Proof, str | None]:
        if home := self._closes_of_home():
            return prove(home, candidate.closes), HOME
        proof = prove({}, candidate.closes)
        for venue in others:
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
        markets = self._markets(venue)
        found = find_listing(self._instrument(), venue, markets, spot_proxy=self._spot_proxy)
        if isinstance(found, Refusal):
            return found
        market = next(m for m in markets if m.venue_symbol == found.venue_symbol)
        client = self._new_client(venue.source, [market])
        try:
            page = CcxtSource(client, found, timeframe(self._window.timeframe)).ask(
                self._window.symbol, timeframe(self._window.timeframe), self._compared_before_ms()
            )
        finally:
            client.close()
        closes = dict(zip(page.sound["open_ms"].tolist(), page.sound["close"].tolist(), strict=True))
        return Candidate(venue.source, found, market, closes)

    def _compared_before_ms(self) -> int:
        home = self._closes_of_home()
        step_ms = timeframe(self._window.timeframe).step_ms
        return max(home) + step_ms if home else self._window.end_ms

    def _closes_of_home(self) -> dict[int, float]:
        if self._home_closes is None:
            params = {"series_id": self._window.series_id, "most": CLOSES_COMPARED}
            with translated_errors():
                rows = self._store.connection.execute(query("select_home_closes"), params).fetchall()
            self._home_closes = {int(open_ms): float(close) for open_ms, close in rows}
        return self._home_closes

    def _instrument(self) -> Instrument:
        with translated_errors():
            symbol, base, quote, settle, contract_type = fetch_one(
                self._store.connection, query("select_instrument"), {"symbol": self._window.symbol}
            )
        named = Instrument.named(symbol)
        return Instrument(
            symbol, base or named.base, quote or named.quote, settle, contract_type or named.contract_type
        )

    def _markets(self, venue: Venue) -> list[Market]:
        source_id = self._store.source_id(venue.source)
        with translated_errors():
            row = self._store.connection.execute(
                query("select_venue_markets"), {"source_id": source_id, "live": MARKETS_LIVE}
            ).fetchone()
        if row is not None:
            return [Market(**kept) for kept in row[0]]
        client = self._new_client(venue.source, ())
        try:
            markets = client.markets()
        finally:
            client.close()
        with translated_errors():
            self._store.connection.execute(
                query("upsert_venue_markets"),
                {"source_id": source_id, "markets": Jsonb([market.as_dict() for market in markets])},
            )
        return markets

    def _known(self, venue: Venue) -> dict[str, Any] | None:
        params = {"symbol": self._window.symbol, "source_id": self._store.source_id(venue.source)}
        with translated_errors(), self._store.connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(query("select_listing"), params).fetchall()
        allowed = [row for row in rows if self._spot_proxy or row["instrument_class"] == "perpetual"]
        return allowed[0] if allowed else None

    def _refuse(self, venue: Venue, refusal: Refusal) -> None:
        log.info("%s at %s: %s", self._window.symbol, venue.source, refusal.reason)
        self._write(venue.source, None, None, Proof(0, None, False, refusal.reason), None)

    def _remember(self, candidate: Candidate, proof: Proof, proved_by: str | None) -> None:
        self._write(candidate.source, candidate.listing, candidate.market, proof, proved_by)

    def _write(
        self, source: str, listing: Listing | None, market: Market | None, proof: Proof, proved_by: str | None
    ) -> None:
        # Too few bars in common is no verdict: it is tried again as soon as there are more.
        undecided = listing is not None and proof.median_ratio is None
        params = {
            "symbol": self._window.symbol,
            "source_id": self._store.source_id(source),
            "venue_symbol": "" if listing is None else listing.venue_symbol,
            "instrument_class": "perpetual" if listing is None else listing.instrument_class,
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
            self._store.connection.execute(query("upsert_listing"), params)


def _from_row(row: Mapping[str, Any]) -> ProvedListing:
    listing = Listing(row["venue_symbol"], row["instrument_class"], row["price_scale"], row["volume_scale"])
    return ProvedListing(listing, Market(**row["market"]))
