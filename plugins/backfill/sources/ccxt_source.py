"""An instrument at one venue, through ccxt."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack

from backfill.domain.candle_columns import CandleFrame
from backfill.domain.candle_rules import open_time_was_not_asked_for
from backfill.domain.intervals import Interval
from backfill.domain.price_kinds import TRADE
from backfill.domain.symbols import Listing
from backfill.domain.timeframes import Timeframe
from backfill.exchanges.ccxt_client import CcxtClient
from backfill.frames.ccxt_frame import ccxt_frame
from backfill.sources.candle_source import CandlePage, is_over, refuse_times, sift_page


class CcxtSource:
    """Requests the market of ``listing``; ``timeframe`` fixes the page size.

    ``stands_in``: it substitutes another source, so a flat spot bar is no evidence about a perpetual. ``give_back``:
    called at the end instead of closing the client, which nobody else uses until then.
    """

    def __init__(
        self,
        client: CcxtClient,
        listing: Listing,
        timeframe: Timeframe,
        settle_ms: int = 0,
        *,
        rows_per_page: int | None = None,
        stands_in: bool = True,
        give_back: Callable[[], None] | None = None,
    ) -> None:
        self.name = client.venue.source
        self.rows_per_page = rows_per_page or client.venue.rows(timeframe.name)
        self._stands_in = stands_in
        self._client = client
        self._listing = listing
        self._timeframe = timeframe
        self._settle_ms = settle_ms
        self._requests_before = client.requests_made
        self._close = ExitStack()
        self._close.callback(give_back or client.close)

    @property
    def is_spot(self) -> bool:
        return self._listing.instrument_class == "spot_proxy"

    @property
    def requests_made(self) -> int:
        """Number of requests of this source so far."""
        return self._client.requests_made - self._requests_before

    def close(self) -> None:
        """Close the client, or give it back."""
        self._close.close()

    def serves_from_ms(self) -> int | None:
        return self._client.venue.oldest_open_ms(self._timeframe.step_ms, round(time.time() * 1000))

    def ask(self, symbol: str, timeframe: Timeframe, after_ms: int) -> CandlePage:
        since_ms = after_ms - self.rows_per_page * timeframe.step_ms
        answer = self._client.candles(self._listing.venue_symbol, timeframe.name, since_ms, self.rows_per_page)
        has_volume = self._client.venue.kind == TRADE
        scales = (self._listing.price_scale, self._listing.volume_scale)
        frame = ccxt_frame(answer.rows, *scales, has_volume=has_volume)
        # Few venues mark the running bar, so a clock is needed.
        now_ms = answer.server_ms if answer.server_ms is not None else round(time.time() * 1000)
        sound, broken, is_clean = sift_page(frame, timeframe, self._before_ms(after_ms), now_ms, has_volume=has_volume)
        if strangers := self._strangers(sound, since_ms):
            sound, broken = refuse_times(frame, sound, broken, strangers, open_time_was_not_asked_for.__name__)
        over = is_over(sound, timeframe, now_ms, self._settle_ms)
        if self._client.venue.fills_no_trade and self.is_spot and self._stands_in:
            traded = sound["volume"] > 0
            sound, over = sound.rows(traded), over[traded]
        covers = Interval(*answer.covers_ms)
        return CandlePage(
            after_ms=after_ms,
            rows=[row.raw for row in answer.rows],
            candles=sound.rows(over),
            broken=broken,
            oldest_ms=min(since_ms, covers.start),
            newest_ms=int(sound["open_ms"].max()) if len(sound) else covers.start - timeframe.step_ms,
            server_ms=answer.server_ms,
            latency_ms=answer.latency_ms,
            running_ms=sound["open_ms"][~over].tolist(),
            covers=covers,
            is_clean=is_clean and not strangers,
        )

    @property
    def counts_forward(self) -> bool:
        return self._client.venue.bounded

    def _strangers(self, sound: CandleFrame, since_ms: int) -> list[int]:
        """Open times before the requested window; some venues give one such bar."""
        if not self._client.venue.bounded:
            return []
        open_ms = sound["open_ms"]
        strangers: list[int] = open_ms[open_ms < since_ms - self._timeframe.step_ms].tolist()
        return strangers

    def _before_ms(self, after_ms: int) -> float:
        """Upper bound of the open times allowed in an answer.

        With an exclusive ``since`` ccxt 4.5.90 sends the cursor itself as the end (bitget: endTime, kucoinfutures: to).
        It is unknown whether a bar that opens there belongs to the page.
        """
        venue = self._client.venue
        if not venue.bounded:
            return math.inf
        return after_ms if venue.since_inclusive else after_ms + self._timeframe.step_ms
