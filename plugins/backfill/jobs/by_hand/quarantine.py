"""Discard quarantined rows, or store them anyway."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from backfill.errors import DecisionRefused
from backfill.jobs.by_hand.quarantined_candle import QuarantinedCandle, QuarantineReader
from backfill.storage.candle_store import CandleStore
from backfill.storage.candles_by_hand import CandlesByHand, Written, writable_series
from backfill.storage.quarantine import PENDING, QuarantineDecision

if TYPE_CHECKING:
    import pandas as pd

CURE = "give the bar with `backfill correct`"

Row = Mapping[str, Any]


def discard(store: CandleStore, ids: Sequence[int], reason: str | None) -> None:
    """Mark rows as wrong, all or none. Raises :class:`DecisionRefused`."""
    _undecided(store, ids, "discard")
    with store.quarantine.deciding():
        _decide(store, "discard", "discarded", [QuarantineDecision(one, reason) for one in ids])


def release(store: CandleStore, ids: Sequence[int], reason: str | None, settle_ms: int) -> Written:
    """Store rows as received, all or none; replaced bars go to ``revisions``.

    Raises :class:`SeriesBusy`, and :class:`DecisionRefused` for a row that cannot be a candle.
    """
    rows = _undecided(store, ids, "release")
    series = {window.series_id: window for window in writable_series(store, settle_ms)}
    reader = QuarantineReader(store)
    read = [(row, reader.read(row, series[row["series_id"]])) for row in rows]
    if problems := [*_lacking(read), *_contested(rows)]:
        raise DecisionRefused("release", problems)
    bars = CandlesByHand(store, _candles(read))
    because = f": {reason}" if reason else ""
    notes = [
        QuarantineDecision(row["id"], f"stored although {', '.join(candle.broken)}{because}") for row, candle in read
    ]
    with bars.alone([series[series_id] for series_id in {row["series_id"] for row in rows}]):
        written = bars.write(f"released from quarantine{because}")
        _decide(store, "release", "released", notes)
    return written


def _undecided(store: CandleStore, ids: Sequence[int], decision: str) -> list[dict[str, Any]]:
    found = {row["id"]: row for row in store.quarantine.rows(status=None, ids=ids)}
    problems = [problem for one in ids if (problem := _why_not(one, found.get(one)))]
    if problems:
        raise DecisionRefused(decision, problems)
    return [found[one] for one in ids]


def _why_not(quarantine_id: int, row: Row | None) -> str | None:
    if row is None:
        return f"{quarantine_id}: there is no such row in quarantine"
    if row["status"] != PENDING:
        why = f" ({row['note']})" if row["note"] else ""
        return f"{quarantine_id}: it was {row['status']} on {row['since']:%Y-%m-%d %H:%M}{why}"
    return None


def _decide(store: CandleStore, decision: str, status: str, decisions: Sequence[QuarantineDecision]) -> None:
    """Inside the caller's transaction."""
    if store.quarantine.decide(status, decisions) < len(decisions):
        raise DecisionRefused(decision, ["another person has decided on some of these rows just now"])


def _lacking(read: Sequence[tuple[Row, QuarantinedCandle]]) -> list[str]:
    return [f"{_named(row)}: it lacks {', '.join(candle.missing)}; {CURE}" for row, candle in read if candle.missing]


def _contested(rows: Sequence[Row]) -> list[str]:
    times = Counter((row["series_id"], row["open_time"]) for row in rows if row["open_time"] is not None)
    return [
        f"{_named(row)}: only one row of a bar can be released"
        for row in rows
        if times[row["series_id"], row["open_time"]] > 1
    ]


def _candles(read: Sequence[tuple[Row, QuarantinedCandle]]) -> pd.DataFrame:
    import pandas as pd

    bars = [
        candle.candle.assign(place=row["id"], series_id=row["series_id"], source_id=row["source_id"])
        for row, candle in read
        if candle.candle is not None
    ]
    return pd.concat(bars).astype({"open_ms": "int64"})


def _named(row: Row) -> str:
    at = "" if row["open_time"] is None else f" {row['open_time']:%Y-%m-%d %H:%M}"
    return f"{row['id']} ({row['symbol']} {row['timeframe']}{at} from {row['source']})"
