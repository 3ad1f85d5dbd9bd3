"""Export closed, whole spans as files, each content once.

Files are in place before the ledger says so: a rerun after a kill ends in the same state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from backfill.domain.intervals import Interval, difference, total_ms, union, within
from backfill.domain.segments import DELETED, DOWNLOADED, FORMATS, PROCESSING, SegmentName, spans, usual_period
from backfill.domain.timeframes import Timeframe, timeframe, utc
from backfill.jobs.files.folder import SegmentFolder
from backfill.storage.candle_store import CandleStore
from backfill.storage.segments import Exportable, Registered
from backfill.storage.series import Selection, SeriesWindow

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ExportTerms:
    """``period``: day or month; None: a day if it has 24 bars. ``recheck``: read all candles again."""

    suffix: str = "csv"
    period: str | None = None
    doubtful: bool = False
    recheck: bool = False
    dry_run: bool = False


@dataclass
class ExportReport:
    """Segments written, and lines on what was not."""

    written: list[dict[str, Any]] = field(default_factory=list)
    unchanged: int = 0
    restored: int = 0
    left: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def totals(self) -> dict[str, int]:
        """Counts for a log line or XCom."""
        return {
            "segments": len(self.written),
            "revisions": sum(row["revision"] > 1 for row in self.written),
            "rows": sum(row["rows"] for row in self.written),
            "unchanged": self.unchanged,
            "restored": self.restored,
            "left": len(self.left),
        }


def export_segments(
    store: CandleStore, folder: SegmentFolder, selection: Selection, terms: ExportTerms | None = None
) -> ExportReport:
    """Write whole spans not yet registered, within a caller's window. Raises :class:`FolderUnusable`."""
    report = ExportReport()
    whole = Selection(selection.at, selection.settle_ms, selection.symbols, selection.timeframes)
    for window in store.windows(whole):
        export = _SeriesExport(store, folder, window, selection, terms or ExportTerms(), report)
        with export.ledger.exporting(window):
            export.run()
    return report


class _SeriesExport:
    def __init__(
        self,
        store: CandleStore,
        folder: SegmentFolder,
        window: SeriesWindow,
        selection: Selection,
        terms: ExportTerms,
        report: ExportReport,
    ) -> None:
        self.ledger = store.segments
        self._store = store
        self._folder = folder
        self._window = window
        self._selection = selection
        self._terms = terms
        self._report = report
        self._bars: Timeframe = timeframe(window.timeframe)
        self._source_names: dict[int, str] = {}

    def run(self) -> None:
        """Export the series."""
        known = self.ledger.latest(self._window.series_id)
        state = self.ledger.exportable(self._window.series_id, Interval(0, self._window.end_ms), self._selection.at)
        if not state.held:
            return
        if not self._terms.dry_run:
            self._folder.remove_parts(f"{self._window.symbol}__{self._window.timeframe}__")
            self._tidy(known)
        there = self._folder.names()
        by_span = {Interval(one.start_ms, one.end_ms): one for one in known}
        taken = union(by_span)
        for span, needed in self._whole_spans(state):
            registered = by_span.get(span)
            rows = self._count(within(state.held, needed))
            if registered is None and within(taken, span):
                self._leave(span, "segments of another length have its bars already")
            elif registered is None or self._terms.recheck or (registered.is_revised or rows != registered.rows):
                self._export(span, rows, registered, there)
            else:
                self._keep(registered, there)

    def _whole_spans(self, state: Exportable) -> Iterator[tuple[Interval, Interval]]:
        """Each span to export, and its part in which the instrument was listed."""
        period = self._terms.period or usual_period(self._bars)
        oldest_ms = state.held[0].start
        listed_ms = 0 if self._window.list_ms is None else self._bars.floor(self._window.list_ms)
        now_ms = round(self._selection.at.timestamp() * 1000) - self._selection.settle_ms
        has_ended = self._window.end_ms < self._bars.floor(now_ms)
        for span in spans(self._bars, period, Interval(oldest_ms, self._window.end_ms)):
            end_ms = min(span.end, self._window.end_ms) if has_ended else span.end
            needed = Interval(max(span.start, min(listed_ms, oldest_ms)), end_ms)
            if not self._is_chosen(span) or end_ms > self._window.end_ms or not within(state.held, needed):
                continue
            if why := self._why_not(state, needed):
                self._leave(span, why)
            elif why is None:
                yield span, needed

    def _why_not(self, state: Exportable, needed: Interval) -> str | None:
        """What keeps a span from export; empty: older than what is wanted whole."""
        gaps = within(state.gaps, needed)
        doubtful = within(state.doubtful, needed)
        if missing := difference(gaps, doubtful):
            return f"{self._count(missing)} bars are missing" if missing[-1].end > self._window.start_ms else ""
        if self._terms.doubtful:
            return None
        if doubtful:
            return f"{self._count(doubtful)} bars are in doubt: no source has them"
        if questioned := within(state.questioned, needed):
            return f"{self._count(questioned)} bars are in doubt: findings on them are open"
        return None

    def _is_chosen(self, span: Interval) -> bool:
        from_ms, to_ms = self._selection.from_ms, self._selection.to_ms
        return (from_ms is None or span.start >= from_ms) and (to_ms is None or span.end <= to_ms)

    def _export(self, span: Interval, rows: int, before: Registered | None, there: set[str]) -> None:
        """Write one segment unless the same content is registered."""
        from backfill.frames.segment_frame import as_csv, as_parquet, sha256

        candles = self._store.candles(self._window.series_id, span)
        if len(candles) != rows:
            self._leave(span, "it changed while it was read; the next export has it")
            return
        names = self._names_of(candles)
        csv = as_csv(candles, names)
        if before is not None and before.content_sha256 == sha256(csv):
            self._keep(before, there)
            return
        name = SegmentName(
            self._window.symbol,
            self._window.timeframe,
            span.start,
            span.end,
            before.revision + 1 if before else 1,
            self._terms.suffix,
        )
        path = self._folder.path(str(name))
        row = {
            "symbol": name.symbol,
            "timeframe": name.timeframe,
            "start_time": utc(span.start),
            "end_time": utc(span.end),
            "revision": name.revision,
            "rows": len(candles),
            "path": path,
        }
        if not self._terms.dry_run:
            content = csv if self._terms.suffix == "csv" else as_parquet(candles, names)
            self._folder.put(str(name), content)
            withdrawn = self.ledger.register(
                self._window.series_id,
                span,
                path=path,
                sha256=sha256(content),
                content_sha256=sha256(csv),
                rows=len(candles),
                supersedes=before,
                at=self._selection.at,
            )
            if withdrawn is not None:
                self._remove(withdrawn)
        self._report.written.append(row)

    def _keep(self, registered: Registered, there: set[str]) -> None:
        """Keep registered segments; rewrite a file lost before its first reader."""
        name = registered.path.rpartition("/")[2]
        is_ours = self._folder.path(name) == registered.path
        if registered.status in (DOWNLOADED, PROCESSING) and is_ours and name not in there and not self._terms.dry_run:
            self._restore(registered, name)
        elif not is_ours and registered.status != DELETED:
            self._report.notes.append(f"registered already: {registered.path}")
        self._report.unchanged += 1

    def _restore(self, registered: Registered, name: str) -> None:
        from backfill.frames.segment_frame import as_csv, as_parquet, sha256

        candles = self._store.candles(self._window.series_id, Interval(registered.start_ms, registered.end_ms))
        write = as_csv if name.endswith(".csv") else as_parquet
        content = write(candles, self._names_of(candles))
        if sha256(content) == registered.sha256:
            self._folder.put(name, content)
            self._report.restored += 1
            self._report.notes.append(f"written again, the file was gone: {registered.path}")

    def _tidy(self, known: list[Registered]) -> None:
        """Remove the series' files that the ledger calls deleted, or that repeat a registered content."""
        from backfill.frames.segment_frame import sha256

        rows = self.ledger.find(symbols=[self._window.symbol], timeframes=[self._window.timeframe])
        by_path = {row["path"]: row for row in rows}
        contents = {row["sha256"] for row in rows if row["status"] != DELETED}
        left_by_a_kill = {self._folder.path(self._next_name(one, suffix)) for one in known for suffix in FORMATS}
        for name in sorted(self._folder.names()):
            parsed, path = SegmentName.parse(name), self._folder.path(name)
            if parsed is None or (parsed.symbol, parsed.timeframe) != (self._window.symbol, self._window.timeframe):
                continue
            row = by_path.get(path)
            if row is not None and row["status"] == DELETED:
                self._remove(path)
            elif row is None and sha256(self._folder.read(name)) in contents:
                self._remove(path)
                self._report.notes.append(f"removed, its content is registered already: {path}")
            elif row is None and path in left_by_a_kill:
                self._remove(path)

    def _next_name(self, one: Registered, suffix: str) -> str:
        start_ms, end_ms, revision = one.start_ms, one.end_ms, one.revision + 1
        return str(SegmentName(self._window.symbol, self._window.timeframe, start_ms, end_ms, revision, suffix))

    def _remove(self, path: str) -> None:
        name = path.rpartition("/")[2]
        if self._folder.path(name) == path:
            self._folder.remove(name)
        else:
            self._report.notes.append(f"superseded, and no longer handed out: {path}")

    def _leave(self, span: Interval, why: str) -> None:
        bars = f"{self._window.symbol} {self._window.timeframe} {utc(span.start):%Y-%m-%d}"
        self._report.left.append(f"{bars}: {why}")

    def _count(self, intervals: list[Interval]) -> int:
        return total_ms(intervals) // self._bars.step_ms

    def _names_of(self, candles: pd.DataFrame) -> dict[int, str]:
        unknown = sorted({*candles["source_id"].tolist()} - self._source_names.keys())
        if unknown:
            self._source_names.update(zip(unknown, self._store.source_names(unknown), strict=True))
        return self._source_names
