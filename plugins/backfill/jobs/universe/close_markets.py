"""Keep the hours of the universe's markets in Postgres, which computes gaps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from backfill.config.universe_model import SeriesWish
from backfill.domain.intervals import Interval
from backfill.domain.market_hours import closed_bars
from backfill.domain.timeframes import DAY_MS, TIMEFRAMES
from backfill.sources.market_sessions import rules_of, sessions_of
from backfill.storage.candle_store import CandleStore

# Holidays may be announced only days before: a day of mourning.
HOURS_LIVE = timedelta(days=1)
# Holidays are known for a year; a late run must not take a closed market for open.
AHEAD_MS = 365 * DAY_MS
# A finer series may start earlier than wished, to make a coarser one's first bar.
BEFORE_MS = 30 * DAY_MS


def close_markets(store: CandleStore, wishes: Sequence[SeriesWish], from_ms: int | None = None) -> None:
    """Write the closed bars of the calendars in ``wishes``, if a day old or starting too late.

    ``from_ms``: a run's own, perhaps earlier start. Raises :class:`ConfigurationError` for an unknown calendar before
    it writes.
    """
    with_hours = [wish for wish in wishes if wish.calendar is not None]
    if not with_hours:
        return
    now = store.now()
    now_ms = round(now.timestamp() * 1000)
    first_ms: dict[tuple[str, str], int] = {}
    for wish in with_hours:
        key = (str(wish.calendar), wish.timeframe)
        starts_ms = wish.window_start_ms(now_ms) if from_ms is None else min(from_ms, wish.window_start_ms(now_ms))
        first_ms[key] = min(starts_ms, first_ms.get(key, starts_ms))
    known = store.closures.known()
    due = {}
    for (calendar, name), starts_ms in first_ms.items():
        have = known.get((calendar, name))
        if have is not None:
            if (
                have.known.start <= starts_ms
                and have.made_by == rules_of(calendar)
                and now - have.made_at <= HOURS_LIVE
            ):
                continue
            starts_ms = min(starts_ms, have.known.start + BEFORE_MS)
        due[calendar, name] = Interval(starts_ms - BEFORE_MS, now_ms + AHEAD_MS)
    answers = {
        calendar: sessions_of(calendar, Interval(min(span.start for span in spans), now_ms + AHEAD_MS))
        for calendar in dict.fromkeys(calendar for calendar, _ in due)
        if (spans := [span for (name, _), span in due.items() if name == calendar])
    }
    for (calendar, name), span in due.items():
        answer = answers[calendar]
        closed = closed_bars(
            answer.sessions, Interval(max(span.start, answer.known.start), answer.known.end), TIMEFRAMES[name]
        )
        store.closures.write(calendar, name, closed, span, rules_of(calendar))
