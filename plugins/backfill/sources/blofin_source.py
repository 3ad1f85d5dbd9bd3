"""Blofin over its REST API as a source of candles."""

from __future__ import annotations

import math

from backfill.domain.candle_rules import open_time_was_not_asked_for
from backfill.domain.intervals import Interval
from backfill.domain.timeframes import Timeframe
from backfill.exchanges.blofin_client import BARS, ROWS_PER_PAGE, SOURCE, BlofinClient
from backfill.frames.blofin_frame import blofin_frame
from backfill.sources.candle_source import CandlePage, is_over, sift_page


class BlofinSource:
    """Blofin over its REST API: the home of most instruments."""

    name = SOURCE
    counts_forward = False

    def __init__(self, client: BlofinClient, rows_per_page: int = ROWS_PER_PAGE, settle_ms: int = 0) -> None:
        self.rows_per_page = rows_per_page
        self._client = client
        self._settle_ms = settle_ms

    @property
    def requests_made(self) -> int:
        return self._client.requests_made

    def serves_from_ms(self) -> int | None:
        return None  # back to the listing (logs of djorgens2/blofin-data; a year of minutes seen)

    def ask(self, symbol: str, timeframe: Timeframe, after_ms: int) -> CandlePage:
        answer = self._client.candles(symbol, BARS[timeframe.name], after_ms, self.rows_per_page)
        frame = blofin_frame(answer.data)
        now_ms = math.inf if answer.server_ms is None else answer.server_ms
        # "after: records earlier than the requested ts" (Blofin docs): nothing else may come.
        sound, broken, is_clean = sift_page(frame, timeframe, before_ms=after_ms, now_ms=now_ms)
        open_ms = sound["open_ms"]
        over = is_over(sound, timeframe, answer.server_ms, self._settle_ms)
        # A page of nothing but newer bars is no page that none can believe: it does not lead back.
        told = open_ms.tolist() or sorted(
            row.open_ms for row in broken if row.rule == open_time_was_not_asked_for.__name__ and row.open_ms
        )
        return CandlePage(
            after_ms=after_ms,
            rows=answer.data,
            sound=sound[over].reset_index(drop=True),
            broken=broken,
            oldest_ms=told[0] if told else None,
            newest_ms=told[-1] if told else None,
            server_ms=answer.server_ms,
            latency_ms=answer.latency_ms,
            running_ms=open_ms[~over].tolist(),
            covers=Interval(min(told[0], after_ms), after_ms) if told else None,
            is_clean=is_clean,
        )
