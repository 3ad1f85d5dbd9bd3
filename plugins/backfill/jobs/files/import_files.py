"""Read files of candles into Postgres, with the checks of an exchange's answers.

Sound rows are kept, broken ones go to quarantine, missing ones stay gaps, and each file is logged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backfill.domain.answers import bar_intervals
from backfill.domain.candle_columns import CANDLE_COLUMNS, CandleFrame
from backfill.domain.candle_files import ARCHIVE, CandleFileName, spot_source
from backfill.domain.candle_rules import open_time_was_not_asked_for
from backfill.domain.intervals import Interval
from backfill.domain.symbols import MAX_CLOSE_RATIO_OFF, MIN_OVERLAP_BARS, price_scale, prove
from backfill.domain.timeframes import timeframe, utc
from backfill.domain.venues import VENUES
from backfill.errors import CandleFileRefused
from backfill.jobs.files.candle_file import ReadFile, candle_paths, read_candle_file
from backfill.sources.candle_source import refuse_times, sift_page
from backfill.storage.candle_store import CandleStore, QuarantinedRow
from backfill.storage.candles_by_hand import writable_series
from backfill.storage.findings import Finding
from backfill.storage.series import SeriesWindow

if TYPE_CHECKING:
    import pandas as pd

    from backfill.domain.agreement import Comparison

MANUAL = "manual"
PATIENCE_S = 60.0
ROWS_AT_ONCE = 20_000
# One exchange's archive and its API publish the same bars.
SAME_EXCHANGE = {frozenset((known.source, known.archive_of)) for known in VENUES.values() if known.archive_of}
COUNTS = ("rows", "inserted", "revised", "quarantined", "missing", "left_out", "disagree")


@dataclass(frozen=True)
class ImportTerms:
    """``spot``: spot files may fill series that allow no stand-in. ``source``: replaces the name's."""

    symbols: Sequence[str] | None = None
    timeframes: Sequence[str] | None = None
    source: str | None = None
    spot: bool = False
    dry_run: bool = False


@dataclass
class ImportReport:
    """A row per file read, and a line per file refused."""

    files: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def totals(self) -> dict[str, int]:
        """Counts over all files."""
        sums = {name: sum(file[name] for file in self.files) for name in COUNTS}
        return {"files": len(self.files), "refused": len(self.refused), **sums}


def import_files(store: CandleStore, where: Path, settle_ms: int, terms: ImportTerms | None = None) -> ImportReport:
    """Import every file of candles in a folder and below."""
    terms, report = terms or ImportTerms(), ImportReport()
    for path, name in candle_paths(where):
        if not isinstance(name, str) and not _is_chosen(name, terms):
            continue
        try:
            file = read_candle_file(path, name)
            report.files.append(_FileImport(store, file, settle_ms, terms).run())
        except CandleFileRefused as refused:
            report.refused.append(str(refused))
    return report


def _is_chosen(name: CandleFileName, terms: ImportTerms) -> bool:
    wanted = terms.symbols is None or name.symbol in terms.symbols
    return wanted and (terms.timeframes is None or name.timeframe in terms.timeframes)


class _FileImport:
    def __init__(self, store: CandleStore, file: ReadFile, settle_ms: int, terms: ImportTerms) -> None:
        self._store = store
        self._file = file
        self._bars = timeframe(file.name.timeframe)
        self._settle_ms = settle_ms
        self._terms = terms
        self._counts = dict.fromkeys(COUNTS, 0)
        self._source = terms.source or file.name.source
        self._is_spot = False
        self._sources: dict[str, int] = {}
        self._notes = list(file.notes)

    def run(self) -> dict[str, Any]:
        """Import the file; raises :class:`CandleFileRefused`."""
        series = writable_series(self._store, self._settle_ms)
        symbol, scale = self._instrument(series)
        window = next((w for w in series if (w.symbol, w.timeframe) == (symbol, self._bars.name)), None)
        self._check_class(window)
        frame = self._file.rows.frame
        if scale != 1:
            from backfill.frames.candle_frame import scaled

            frame = scaled(frame, scale, 1 / scale)
            self._notes.append(f"its prices times {scale:g} are those of {symbol}")
        now_ms = round(self._store.now().timestamp() * 1000)
        sound, broken, _ = sift_page(frame, self._bars, float("inf"), now_ms)
        if self._file.name.span is not None:
            span = self._file.name.span
            strangers = sound["open_ms"][(sound["open_ms"] < span.start) | (sound["open_ms"] >= span.end)].tolist()
            sound, broken = refuse_times(frame, sound, broken, strangers, open_time_was_not_asked_for.__name__)
        sources = self._row_sources(frame)
        candles = sound.to_pandas()
        end_ms = self._bars.last_closed_end(now_ms, self._settle_ms)
        candles = self._without(candles, candles["open_ms"] >= end_ms, "not closed yet")
        if window is not None:
            candles = self._without(candles, candles["open_ms"] < window.start_ms, "older than the retention")
        self._counts["rows"] = len(candles)
        self._counts["quarantined"] = len(broken)
        self._note_holes(candles)
        if window is not None and len(candles):
            self._prove(window, candles)
        rows = [QuarantinedRow(row.open_ms, row.rule, self._file.rows.raw[row.place]) for row in broken]
        if not self._terms.dry_run:
            self._write(window or self._new_window(symbol), candles, sources, rows)
        return self._row(symbol, candles)

    def _instrument(self, series: Sequence[SeriesWindow]) -> tuple[str, float]:
        """Our name of its instrument, and the factor on its prices."""
        symbol = self._file.name.symbol
        known = {window.symbol for window in series}
        if symbol in known:
            return symbol, 1.0
        base, _, quote = symbol.partition("-")
        scales = {
            ours: scale
            for ours in known
            if ours.endswith(f"-{quote}") and (scale := price_scale(ours.partition("-")[0], base)) is not None
        }
        if len(scales) > 1:
            raise self._refusal(f"{symbol} could be any of {', '.join(sorted(scales))}")
        return next(iter(scales.items()), (symbol, 1.0))

    def _check_class(self, window: SeriesWindow | None) -> None:
        is_spot = self._file.name.is_spot
        if is_spot is None:
            is_spot = self._terms.spot or self._file.rows.is_in_us
        if is_spot and not self._terms.spot and not (window is not None and window.spot_proxy):
            raise self._refusal("spot candles, and the series allows no stand-in; --spot imports them all the same")
        self._is_spot = is_spot
        if is_spot and self._terms.source is None and self._file.name.source is not None:
            self._source = spot_source(self._file.name.source)

    def _row_sources(self, frame: CandleFrame) -> dict[int, str] | str:
        """The source of each open time, or of all."""
        if self._source is not None:
            return self._source
        if self._file.rows.sources is None:
            raise self._refusal("its rows name no source; give --source")
        from backfill.config.source_names import is_stored_source

        if strange := sorted({name for name in self._file.rows.sources if not is_stored_source(name)}):
            raise self._refusal(f"{strange[0]!r} is no name of a source")
        rows = zip(frame["open_ms"].tolist(), self._file.rows.sources, strict=True)
        return {int(ms): name for ms, name in rows if ms == ms}  # NaN: it has no time

    def _prove(self, window: SeriesWindow, sound: pd.DataFrame) -> None:
        """Refuse another instrument, another scale; record where two sources disagree."""
        from backfill.domain.agreement import CEILING, FLOAT_NOISE, compare
        from backfill.domain.misfiled import diagnose

        span = Interval(int(sound["open_ms"].iloc[0]), int(sound["open_ms"].iloc[-1]) + self._bars.step_ms)
        held = self._store.candles(window.series_id, span)
        ours = dict(zip(held["open_ms"].tolist(), held["close"].tolist(), strict=True))
        theirs = dict(zip(sound["open_ms"].tolist(), sound["close"].tolist(), strict=True))
        proof = prove(ours, theirs)
        if proof.overlap_bars >= MIN_OVERLAP_BARS and not proof.ok:
            raise self._refusal(f"{proof.reason} (at most {MAX_CLOSE_RATIO_OFF:.0%} off is believed)")
        is_beside = proof.overlap_bars >= MIN_OVERLAP_BARS
        fault = diagnose(sound, held, step_ms=self._bars.step_ms) if is_beside else None
        # Spot follows its perpetual at a distance.
        if fault is not None and not (self._is_spot and fault.fault == "wrong_instrument"):
            raise self._refusal(f"{fault.fault}, beside what is held: {fault.reason}")
        if self._source is None:
            return
        source_ids = sorted({*held["source_id"].tolist()})
        for source_id, other in zip(source_ids, self._store.source_names(source_ids), strict=True):
            if other not in (self._source, MANUAL):
                stored = held[held["source_id"] == source_id].reset_index(drop=True)
                is_same = frozenset((self._source, other)) in SAME_EXCHANGE
                ceiling = FLOAT_NOISE if is_same else CEILING
                found = compare(stored, sound, step_ms=self._bars.step_ms, ceiling=ceiling)
                self._disagree(window, self._source, found)

    def _disagree(self, window: SeriesWindow, name: str, found: Comparison) -> None:
        self._counts["disagree"] += found.compared - found.agreed
        if self._terms.dry_run or found.disagreements.empty:
            return
        source_id = self._store.source_id(name)
        self._store.findings.record(
            [
                Finding(
                    "cross_source",
                    "disagree",
                    window.series_id,
                    source_id,
                    int(row["open_ms"]),
                    int(row["open_ms"]) + self._bars.step_ms,
                    field=row["field"],
                    stored=row["stored"],
                    other=row["other"],
                    difference=row["difference"],
                    detail={"tolerance": row["tolerance"], "offset": row["offset"], "file": str(self._file.path)},
                )
                for row in found.disagreements.to_dict("records")
            ]
        )

    def _new_window(self, symbol: str) -> SeriesWindow:
        self._store.imports.keep_series(symbol, self._bars.name, spot_proxy=self._terms.spot)
        series = writable_series(self._store, self._settle_ms)
        return next(w for w in series if (w.symbol, w.timeframe) == (symbol, self._bars.name))

    def _write(
        self, window: SeriesWindow, sound: pd.DataFrame, sources: Mapping[int, str] | str, broken: list[QuarantinedRow]
    ) -> None:
        names = sound["open_ms"].map(sources) if not isinstance(sources, str) else None
        wanted = sorted(set(names)) if names is not None else [sources] if isinstance(sources, str) else []
        self._sources.clear()
        with self._store.working_on(window, PATIENCE_S):
            for name in wanted or ["imported"]:
                of_source = sound if names is None else sound[names == name]
                for first in range(0, max(len(of_source), 1), ROWS_AT_ONCE):
                    self._store_page(window, name, of_source.iloc[first : first + ROWS_AT_ONCE], broken)
                    broken = []
        span = None
        if len(sound):
            span = Interval(int(sound["open_ms"].iloc[0]), int(sound["open_ms"].iloc[-1]) + self._bars.step_ms)
        counts = {name: self._counts[name] for name in ("rows", "inserted", "revised", "quarantined", "missing")}
        path, digest = str(self._file.path.absolute()), self._file.sha256
        self._store.imports.record(path, digest, window.series_id, span, counts, self._sources, self._notes)

    def _store_page(
        self, window: SeriesWindow, name: str, candles: pd.DataFrame, broken: Sequence[QuarantinedRow]
    ) -> None:
        candles = candles[CANDLE_COLUMNS].reset_index(drop=True)
        bars = bar_intervals(candles["open_ms"].to_numpy(), self._bars.step_ms)
        if bars:
            window = window._replace(start_ms=bars[0].start, end_ms=bars[-1].end)
        self._store.prepare(window)
        source_id = self._store.source_id(name)
        with self._store.page_transaction():
            page = self._store.store_page(window, source_id, candles, bars=bars, quarantined=broken)
        self._counts["inserted"] += page.inserted
        self._counts["revised"] += page.revised
        if page.inserted + page.revised:
            self._sources[name] = self._sources.get(name, 0) + page.inserted + page.revised

    def _without(self, sound: pd.DataFrame, left_out: pd.Series, why: str) -> pd.DataFrame:
        if count := int(left_out.sum()):
            self._counts["left_out"] += count
            self._notes.append(f"{count:,} bars are {why}")
        return sound[~left_out].reset_index(drop=True)

    def _note_holes(self, sound: pd.DataFrame) -> None:
        if not len(sound):
            self._notes.append("it has no sound candle")
            return
        span = self._file.name.span if self._file.name.source == ARCHIVE else None
        first = span.start if span else int(sound["open_ms"].iloc[0])
        past = span.end if span else int(sound["open_ms"].iloc[-1]) + self._bars.step_ms
        missing = self._bars.bars(first, past) - len(sound) - self._counts["left_out"]
        if missing > 0:
            self._counts["missing"] = missing
            between = f"{utc(first):%Y-%m-%d %H:%M} and {utc(past):%Y-%m-%d %H:%M}"
            self._notes.append(f"{missing:,} bars are missing between {between}")

    def _row(self, symbol: str, sound: pd.DataFrame) -> dict[str, Any]:
        return {
            "file": str(self._file.path),
            "symbol": symbol,
            "timeframe": self._bars.name,
            "from": utc(int(sound["open_ms"].iloc[0])) if len(sound) else None,
            "to": utc(int(sound["open_ms"].iloc[-1]) + self._bars.step_ms) if len(sound) else None,
            **self._counts,
            "sources": dict(self._sources),
            "notes": self._notes,
        }

    def _refusal(self, why: str) -> CandleFileRefused:
        return CandleFileRefused(str(self._file.path), why)
