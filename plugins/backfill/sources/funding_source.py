"""The funding history of one instrument at one venue, page by page, newest first."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from backfill.domain.funding import FundingEvent
from backfill.errors import BadPayload, PaginationStalled

# Raw payments up to a moment as (ms, rate), and the venue's clock (None: unknown).
AskForFunding = Callable[[int], tuple[Sequence[tuple[Any, Any]], int | None]]


class FundingPage(NamedTuple):
    """Payments from ``from_ms`` (None: the first) to ``before_ms``, oldest first.

    ``now_ms``: the venue's clock, or ours.
    """

    before_ms: int
    from_ms: int | None
    events: list[FundingEvent]
    now_ms: int


class FundingSource:
    """Checks each answer: times before the cursor, none twice, and numbers. ``span_ms``: the longest page."""

    def __init__(self, name: str, ask: AskForFunding, span_ms: int | None = None) -> None:
        self.name = name
        self._span_ms = span_ms
        self.requests_made = 0
        self._ask = ask

    def page(self, before_ms: int) -> FundingPage:
        """The newest page of payments before ``before_ms``; raises an :class:`ExchangeError`."""
        self.requests_made += 1
        rows, server_ms = self._ask(before_ms)
        paid = {event.funding_ms: event for event in (self._event(row) for row in rows)}
        if len(paid) != len(rows):
            raise BadPayload(self.name, "the same funding time twice")
        events = sorted(event for event in paid.values() if event.funding_ms < before_ms)
        if rows and not events:
            raise PaginationStalled(self.name, before_ms, min(paid))
        from_ms = None if self._span_ms is None else before_ms - self._span_ms
        return FundingPage(
            before_ms, from_ms, events, server_ms if server_ms is not None else round(time.time() * 1000)
        )

    def _event(self, row: tuple[Any, Any]) -> FundingEvent:
        try:
            event = FundingEvent(int(row[0]), float(row[1]))
        except (TypeError, ValueError) as error:
            raise BadPayload(self.name, f"a funding rate that cannot be read: {row!a:.100}") from error
        if not math.isfinite(event.rate) or abs(event.rate) >= 1 or event.funding_ms <= 0:
            raise BadPayload(self.name, f"a funding rate that is none: {row!a:.100}")
        return event
