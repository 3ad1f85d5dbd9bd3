"""A registered source as a source of candles: one page is one window."""

from __future__ import annotations

import time

from backfill.domain.candle_rules import open_time_was_not_asked_for
from backfill.domain.intervals import Interval
from backfill.domain.splits import Split
from backfill.domain.symbols import Listing
from backfill.domain.timeframes import Timeframe
from backfill.domain.venues import Venue
from backfill.exchanges.source_contract import CandleClient, KnowsItsReach, ListsSplits
from backfill.frames.bar_frame import bar_frame
from backfill.sources.candle_source import CandlePage, is_over, refuse_times, sift_page


class WindowSource:
    """Requests the market of ``listing``; ``timeframe`` fixes the page size. Closes its client."""

    counts_forward = True

    def __init__(
        self,
        venue: Venue,
        client: CandleClient,
        listing: Listing,
        timeframe: Timeframe,
        settle_ms: int = 0,
        *,
        rows_per_page: int | None = None,
        stands_in: bool = True,
    ) -> None:
        self.name = venue.source
        self.rows_per_page = rows_per_page or venue.rows(timeframe.name)
        self._venue = venue
        self._client = client
        self._listing = listing
        self._timeframe = timeframe
        self._settle_ms = settle_ms
        self._stands_in = stands_in

    @property
    def is_spot(self) -> bool:
        """Whether its market only stands in."""
        return self._listing.instrument_class == "spot_proxy"

    @property
    def requests_made(self) -> int:
        return self._client.requests_made

    def close(self) -> None:
        """Close the client."""
        self._client.close()

    def serves_from_ms(self) -> int | None:
        if isinstance(self._client, KnowsItsReach):
            return self._client.serves_from_ms(self._timeframe)
        return self._venue.oldest_open_ms(self._timeframe.step_ms, round(time.time() * 1000))

    def splits(self) -> list[Split]:
        """The source's list of splits; empty if it has none."""
        return self._client.splits(self._listing.venue_symbol) if isinstance(self._client, ListsSplits) else []

    def ask(self, symbol: str, timeframe: Timeframe, after_ms: int) -> CandlePage:
        window = Interval(after_ms - self.rows_per_page * timeframe.step_ms, after_ms)
        answer = self._client.bars(self._listing.venue_symbol, timeframe, window)
        rows = [list(bar) for bar in answer.bars]
        frame = bar_frame(rows, self._listing.price_scale, self._listing.volume_scale)
        now_ms = answer.server_ms if answer.server_ms is not None else round(time.time() * 1000)
        sound, broken, is_clean = sift_page(frame, timeframe, window.end, now_ms, has_volume=answer.has_volume)
        strangers = sound["open_ms"][sound["open_ms"] < window.start].tolist()
        sound, broken = refuse_times(frame, sound, broken, strangers, open_time_was_not_asked_for.__name__)
        over = is_over(sound, timeframe, now_ms, self._settle_ms)
        if self._venue.fills_no_trade and self.is_spot and self._stands_in:
            traded = sound["volume"] > 0  # a flat spot bar is no evidence about the instrument
            sound, over = sound.rows(traded), over[traded]
        covers = window if answer.covers is None else answer.covers
        undecided = range(min(window.end, answer.decided_ms or window.end), window.end, timeframe.step_ms)
        return CandlePage(
            after_ms=after_ms,
            rows=rows,
            candles=sound.rows(over),
            broken=broken,
            oldest_ms=min(window.start, covers.start),
            newest_ms=int(sound["open_ms"].max()) if len(sound) else covers.start - timeframe.step_ms,
            server_ms=answer.server_ms,
            latency_ms=answer.latency_ms,
            running_ms=[*sound["open_ms"][~over].tolist(), *undecided],
            covers=covers,
            is_clean=is_clean and not strangers,
        )
