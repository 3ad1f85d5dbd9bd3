"""How each source names and scales an instrument, and its markets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from backfill.domain.markets import Market
from backfill.domain.symbols import Listing, ListingProof
from backfill.errors import DatabaseError
from backfill.storage.database import Connection, translated_errors
from backfill.storage.locks import holding
from backfill.storage.named_queries import query

# Advisory lock: "bfmk" in ASCII, then the source.
MARKETS_LOCK = 0x6266_6D6B
MARKETS_PATIENCE_S = 600.0


@dataclass(frozen=True, slots=True)
class KnownListing:
    """A row of ``listings``. ``same_contract``: the contract is as when checked."""

    venue_symbol: str
    instrument_class: str
    price_scale: float
    volume_scale: float
    status: str
    reason: str | None
    proved_by: str | None
    market: dict[str, Any] | None
    age_s: float
    same_contract: bool

    @property
    def listing(self) -> Listing:
        """Its symbol, class and scales at the source."""
        return Listing(self.venue_symbol, self.instrument_class, self.price_scale, self.volume_scale)  # type: ignore[arg-type]


class Listings:
    """``listings`` and ``venue_markets``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def known(self, symbol: str, source_id: int) -> list[KnownListing]:
        """A source's listings of an instrument: proved first, then better class."""
        params = {"symbol": symbol, "source_id": source_id}
        with translated_errors(), self._connection.cursor(row_factory=class_row(KnownListing)) as cursor:
            return cursor.execute(query("instruments/select_listing"), params).fetchall()

    def write(
        self,
        symbol: str,
        source_id: int,
        listing: Listing | None,
        market: Market | None,
        proof: ListingProof,
        *,
        instrument_class: str,
        proved_by: str | None,
    ) -> None:
        """Store a check's result. ``listing`` None: none of this class or better."""
        # Too few common bars: try again when there are more.
        undecided = listing is not None and not proof.ok and proof.median_ratio is None
        params = {
            "symbol": symbol,
            "source_id": source_id,
            "venue_symbol": "" if listing is None else listing.venue_symbol,
            "instrument_class": instrument_class if listing is None else listing.instrument_class,
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
            self._connection.execute(query("instruments/upsert_listing"), params)

    def primary_closes(self, series_id: int, most: int) -> dict[int, float]:
        """The primary source's newest closes, by open time in ms."""
        params = {"series_id": series_id, "most": most}
        with translated_errors():
            rows = self._connection.execute(query("candles/select_primary_closes"), params).fetchall()
        return {int(open_ms): float(close) for open_ms, close in rows}

    def kept_markets(self, source_id: int, max_age: timedelta) -> list[Market] | None:
        """The last loaded markets; None if older than ``max_age``."""
        params = {"source_id": source_id, "live": max_age}
        with translated_errors():
            row = self._connection.execute(query("instruments/select_venue_markets"), params).fetchone()
        return None if row is None else [Market(**kept) for kept in row[0]]

    def keep_markets(self, source_id: int, markets: Sequence[Market]) -> None:
        """Store a source's loaded markets."""
        params = {"source_id": source_id, "markets": Jsonb([market.as_dict() for market in markets])}
        with translated_errors():
            self._connection.execute(query("instruments/upsert_venue_markets"), params)

    @contextmanager
    def loading_markets(self, source_id: int) -> Iterator[None]:
        """Load a source's markets alone; others wait."""

        def busy(waited_s: float, holder: str) -> DatabaseError:
            return DatabaseError(f"{what} are still being loaded, after {waited_s:.0f} s, by {holder}")

        what = f"the markets of source {source_id}"
        with holding(self._connection, MARKETS_LOCK, source_id, what, MARKETS_PATIENCE_S, busy):
            yield
