"""Bars that sources lack, and how far that is believed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

from backfill.domain.intervals import Interval
from backfill.domain.timeframes import utc
from backfill.storage.database import Connection, fetch_one, translated_errors
from backfill.storage.multiranges import intervals_in, to_multirange
from backfill.storage.named_queries import query
from backfill.storage.series import SeriesWindow

FIRST_LIFE = timedelta(hours=24)


class Silence(NamedTuple):
    """One source's answers in a window: bars ``held``, surely ``given`` by it, ``silent``.

    Silent gaps: ``doubtful``, ``confirmed`` by a second run, or lacking ``elsewhere`` too.
    """

    held: list[Interval]
    given: list[Interval]
    silent: list[Interval]
    doubtful: list[Interval]
    confirmed: list[Interval]
    elsewhere: list[Interval]


class FinerWord(NamedTuple):
    """Bars that ``traded`` in finer series, or had ``no_trade`` in all."""

    traded: list[Interval]
    no_trade: list[Interval]


class Silences:
    """Reads and grades ``absences``, inside the caller's transaction if any."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, window: SeriesWindow, source_id: int) -> Silence:
        """A source's silence in ``window``."""
        return Silence(*self._intervals("ledger/select_silence", {**_span_of(window), "source_id": source_id}))

    def doubtful_for(self, window: SeriesWindow, age: timedelta) -> list[Interval]:
        """Gaps in all sources, doubtful for at least ``age``."""
        return self._intervals("ledger/select_old_doubts", {**_span_of(window), "age": age})[0]

    def unreported_losses(self, window: SeriesWindow) -> list[Interval]:
        """Lost bars, still a gap, without a finding."""
        return self._intervals("ledger/select_unreported_losses", _span_of(window))[0]

    def grade(self, window: SeriesWindow, source_ids: Sequence[int], bars: Sequence[Interval], grade: str) -> None:
        """Grade doubtful ``bars`` `reported` or `proved`, for a day."""
        params = {
            "series_id": window.series_id,
            "source_ids": list(source_ids),
            "bars": to_multirange(bars),
            "grade": grade,
            "life": FIRST_LIFE,
        }
        with translated_errors():
            self._connection.execute(query("ledger/grade_silence"), params)

    def record_proof(self, window: SeriesWindow, no_trade: Sequence[Interval], lost: Sequence[Interval]) -> None:
        """Record what another timeframe proves of bars the primary source lacks."""
        params = {
            "series_id": window.series_id,
            "no_trade": to_multirange(no_trade),
            "lost": to_multirange(lost),
        }
        with translated_errors():
            self._connection.execute(query("ledger/record_proof"), params)

    def settle_lost_bars(self, window: SeriesWindow) -> None:
        """Settle findings of lost bars that are held now."""
        with translated_errors():
            self._connection.execute(query("ledger/settle_lost_bars"), {"series_id": window.series_id})

    @contextmanager
    def writing_proof(self) -> Iterator[None]:
        """A transaction for a proof and its findings."""
        with translated_errors(), self._connection.transaction():
            yield

    def has_flat_bars(self, window: SeriesWindow, source_id: int) -> bool:
        """Whether the source writes flat bars where nothing traded."""
        params = {
            "series_id": window.series_id,
            "source_id": source_id,
            "first": utc(window.start_ms),
            "past": utc(window.end_ms),
        }
        with translated_errors():
            return bool(fetch_one(self._connection, query("ledger/select_has_flat_bars"), params)[0])

    def kept_timeframes(self, window: SeriesWindow) -> dict[str, int]:
        """Series ids by the instrument's timeframes from the same primary source."""
        with translated_errors():
            rows = self._connection.execute(
                query("series/select_kept_timeframes"), {"series_id": window.series_id}
            ).fetchall()
        return {str(name): int(series_id) for series_id, name in rows}

    def lacking_timeframes(self, window: SeriesWindow, source_id: int) -> set[str]:
        """Timeframes without a bar from the source to prove this series, within a day."""
        params = {"series_id": window.series_id, "source_id": source_id, "life": FIRST_LIFE}
        with translated_errors():
            return set(fetch_one(self._connection, query("findings/select_lacking_timeframes"), params)[0])

    def finer_word(self, window: SeriesWindow, bars: Sequence[Interval]) -> FinerWord:
        """What finer series of the source show of ``bars``."""
        params = {"series_id": window.series_id, "bars": to_multirange(bars)}
        return FinerWord(*self._intervals("ledger/select_finer_word", params))

    def _intervals(self, name: str, params: dict[str, Any]) -> list[list[Interval]]:
        with translated_errors():
            return [intervals_in(text) for text in fetch_one(self._connection, query(name), params)]


def _span_of(window: SeriesWindow) -> dict[str, Any]:
    return {"series_id": window.series_id, "start_ms": window.start_ms, "end_ms": window.end_ms}
