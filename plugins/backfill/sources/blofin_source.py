"""Blofin as a source of candles in the instrument's own denomination."""

from __future__ import annotations

import math

from backfill.domain.candle_rules import open_time_was_not_asked_for
from backfill.domain.intervals import Interval
from backfill.domain.price_kinds import TRADE, PriceKind
from backfill.domain.symbols import Listing
from backfill.domain.timeframes import Timeframe
from backfill.exchanges.blofin_client import BARS, SOURCE, VENUE, BlofinClient
from backfill.frames.blofin_frame import blofin_frame
from backfill.sources.candle_source import CandlePage, is_over, sift_page


class BlofinSource:
    """Requests prices of ``kind`` of ``listing`` (None: of the symbol given to ``ask``)."""

    name = SOURCE
    counts_forward = False

    def __init__(
        self,
        client: BlofinClient,
        rows_per_page: int = VENUE.rows_per_page,
        settle_ms: int = 0,
        listing: Listing | None = None,
        kind: PriceKind = TRADE,
    ) -> None:
        self.rows_per_page = rows_per_page
        self._client = client
        self._settle_ms = settle_ms
        self._listing = listing
        self._kind = kind

    @property
    def requests_made(self) -> int:
        return self._client.requests_made

    def serves_from_ms(self) -> int | None:
        """None: no known bound."""
        return None  # serves all since the listing (logs of djorgens2/blofin-data)

    def close(self) -> None:
        """The runtime closes the session."""

    def ask(self, symbol: str, timeframe: Timeframe, after_ms: int) -> CandlePage:
        listing = self._listing or Listing(symbol, "perpetual", 1.0, 1.0)
        answer = self._client.candles(
            listing.venue_symbol, BARS[timeframe.name], after_ms, self.rows_per_page, self._kind
        )
        has_volume = self._kind == TRADE
        frame = blofin_frame(answer.data, listing.price_scale, listing.volume_scale, has_volume=has_volume)
        now_ms = math.inf if answer.server_ms is None else answer.server_ms
        # "after: records earlier than the requested ts" (Blofin docs).
        sound, broken, is_clean = sift_page(frame, timeframe, after_ms, now_ms, has_volume=has_volume)
        open_ms = sound["open_ms"]
        over = is_over(sound, timeframe, answer.server_ms, self._settle_ms)
        # A page with only newer bars is readable but does not lead back.
        believed = open_ms.tolist() or sorted(
            row.open_ms for row in broken if row.rule == open_time_was_not_asked_for.__name__ and row.open_ms
        )
        return CandlePage(
            after_ms=after_ms,
            rows=answer.data,
            candles=sound.rows(over),
            broken=broken,
            oldest_ms=believed[0] if believed else None,
            newest_ms=believed[-1] if believed else None,
            server_ms=answer.server_ms,
            latency_ms=answer.latency_ms,
            running_ms=open_ms[~over].tolist(),
            covers=Interval(min(believed[0], after_ms), after_ms) if believed else None,
            is_clean=is_clean,
        )
