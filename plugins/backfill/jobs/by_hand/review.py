"""Decisions that wait for a person, grouped to be decided together, and what an answer does."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from backfill.domain.review_answers import DISCARD, KEEP, LATER, OPTIONS, QUARANTINE, RELEASE, TAKE
from backfill.errors import ConfigurationError
from backfill.jobs.by_hand.correct_candles import Corrections
from backfill.jobs.by_hand.correction_file import QUOTE_VOLUME, REQUIRED
from backfill.jobs.by_hand.dismiss_findings import dismiss_findings
from backfill.jobs.by_hand.quarantine import discard, release
from backfill.storage.candle_store import CandleStore

MOST_ROWS_SHOWN = 10
# Only these compare a bar with another source's.
COMPARED = ("cross_source",)

Row = Mapping[str, Any]


class ReviewCase(NamedTuple):
    """One question: ``ids`` of quarantined rows or findings to decide together."""

    subject: str
    body: str
    ids: list[int]


def cases(store: CandleStore, about: str, most: int) -> list[ReviewCase]:
    """At most that many questions, newest first."""
    return (_quarantine_cases if about == QUARANTINE else _finding_cases)(store)[:most]


def decide(store: CandleStore, about: str, ids: Sequence[int], choice: str, by: str, settle_ms: int) -> str:
    """Do what was chosen with those of ``ids`` still undecided; return a sentence.

    Raises :class:`DecisionRefused` or :class:`CorrectionsInvalid` as the command line does, without any change.
    """
    if choice == LATER:
        return f"left as they are: {len(ids):,} rows"
    waiting = _still_waiting(store, about, ids)
    if not waiting:
        return "nothing to do: a person or a later answer has settled them meanwhile"
    done: dict[str, Callable[[], object]] = {
        RELEASE: lambda: release(store, waiting, f"by {by}", settle_ms),
        DISCARD: lambda: discard(store, waiting, f"by {by}"),
        KEEP: lambda: dismiss_findings(store, waiting, f"ours is kept, by {by}"),
        TAKE: lambda: _take_others(store, waiting, by, settle_ms),
    }
    if choice not in OPTIONS[about] or choice not in done:
        raise ConfigurationError(f"{choice!r} is no answer about {about}: it is one of {', '.join(OPTIONS[about])}")
    done[choice]()
    return f"{choice.lower()}, by {by}: {len(waiting):,} of {len(ids):,} rows"


def _quarantine_cases(store: CandleStore) -> list[ReviewCase]:
    rows = [row for row in store.quarantine.rows() if row["open_time"] is not None]
    return [
        ReviewCase(
            f"{symbol} {timeframe}: {_count(group, 'row')} of {source} break {rule}",
            _lines(group, lambda row: f"{row['open_time']:%Y-%m-%d %H:%M}: `{json.dumps(row['payload'])}`")
            + "\n\nStored anyway, they become candles as they were sent. Wrong, their bars count as absent there.",
            [row["id"] for row in group],
        )
        for (symbol, timeframe, source, rule), group in _groups(rows, "symbol", "timeframe", "source", "rule")
    ]


def _finding_cases(store: CandleStore) -> list[ReviewCase]:
    found = store.findings.all(kinds=COMPARED)
    rows = [row for row in found if row["field"] and row["stored"] is not None and row["other"] is not None]
    return [
        ReviewCase(
            f"{symbol} {timeframe}: {_count(group, 'value')} unlike those of {source}",
            _lines(group, _two_values)
            + "\n\nKept, the findings are dismissed. With the other values the rest of each bar stays, its source is "
            "`manual`, and what it was goes to `revisions`; a bar that would break a rule is refused.",
            [row["id"] for row in group],
        )
        for (symbol, timeframe, source), group in _groups(rows, "symbol", "timeframe", "source")
    ]


def _two_values(row: Row) -> str:
    return f"{row['start_time']:%Y-%m-%d %H:%M} {row['field']}: ours {row['stored']!r}, theirs {row['other']!r}"


def _groups(rows: Sequence[Row], *names: str) -> list[tuple[tuple[Any, ...], list[Row]]]:
    """Rows by the values of ``names``, the newest group first."""

    def key(row: Row) -> tuple[str, ...]:
        return tuple(str(row[name]) for name in names)

    grouped = [(of, list(group)) for of, group in groupby(sorted(rows, key=key), key)]
    return sorted(grouped, key=lambda one: max(row["last_seen_at"] for row in one[1]), reverse=True)


def _count(rows: Sequence[Row], word: str) -> str:
    return f"{len(rows):,} {word}" + ("s" if len(rows) > 1 else "")


def _lines(rows: Sequence[Row], line: Callable[[Row], str]) -> str:
    more = f"\n- and {len(rows) - MOST_ROWS_SHOWN:,} more" if len(rows) > MOST_ROWS_SHOWN else ""
    return "\n".join(f"- {line(row)}" for row in rows[:MOST_ROWS_SHOWN]) + more


def _still_waiting(store: CandleStore, about: str, ids: Sequence[int]) -> list[int]:
    rows = store.quarantine.rows(ids=ids) if about == QUARANTINE else store.findings.all(kinds=COMPARED)
    waiting = {row["id"] for row in rows}
    return [one for one in ids if one in waiting]


def _take_others(store: CandleStore, ids: Sequence[int], by: str, settle_ms: int) -> None:
    """As `backfill correct` with a file of these bars, with its checks."""
    bars = store.findings.bars_with_other_values(ids)
    if not bars:
        raise ConfigurationError("the bars of these findings are no longer stored: there is nothing to correct")
    columns = (*REQUIRED, *([QUOTE_VOLUME] if any(QUOTE_VOLUME in bar["others"] for bar in bars) else []))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "from_the_review.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(_corrected(bar, columns) for bar in bars)
        Corrections.read(store, path, settle_ms).apply(f"the other source's values, by {by}")


def _corrected(bar: Row, columns: Sequence[str]) -> list[object]:
    values = {**bar, "open_time": bar["open_time"].isoformat(), **bar["others"]}
    return ["" if values[name] is None else _cell(values[name]) for name in columns]


def _cell(value: object) -> object:
    return repr(value) if isinstance(value, float) else value
