"""Whether registered files are there, as registered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from backfill.domain.segments import DELETED, SegmentName
from backfill.jobs.files.folder import SegmentFolder, folder_of
from backfill.storage.segments import SegmentLedger


@dataclass
class Verified:
    """``problems``: id (None: not registered), path and what is wrong."""

    verified: int = 0
    problems: list[dict[str, Any]] = field(default_factory=list)


def verify_segments(
    ledger: SegmentLedger,
    folder_at: Callable[[str], SegmentFolder],
    *,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
) -> Verified:
    """Hash every registered file; writes nothing. Raises :class:`FolderUnusable`."""
    from backfill.frames.segment_frame import sha256

    report = Verified()
    by_folder: dict[str, dict[str, dict[str, Any]]] = {}
    for row in ledger.find(symbols=symbols, timeframes=timeframes):
        where, name = folder_of(row["path"])
        by_folder.setdefault(where, {})[name] = row
    for where, rows in sorted(by_folder.items()):
        folder = folder_at(where)
        there = folder.names()
        for name, row in sorted(rows.items()):
            problem = None
            if row["status"] == DELETED:
                problem = "is there, although it is registered as deleted" if name in there else None
            elif name not in there:
                problem = f"is gone; it is registered as {row['status']}"
            elif sha256(folder.read(name)) != row["sha256"]:
                problem = "is not what was registered: its SHA-256 is another"
            else:
                report.verified += 1
            if problem:
                report.problems.append({"id": row["id"], "path": row["path"], "problem": problem})
        for name in sorted(there - rows.keys()):
            parsed = SegmentName.parse(name)
            if parsed and _is_asked_for(parsed, symbols, timeframes):
                report.problems.append({"id": None, "path": folder.path(name), "problem": "is not registered"})
    return report


def _is_asked_for(name: SegmentName, symbols: Sequence[str] | None, timeframes: Sequence[str] | None) -> bool:
    return (symbols is None or name.symbol in symbols) and (timeframes is None or name.timeframe in timeframes)
