"""A market read from files of real candles (see candle_files.py), moved in time to end now.

- One file serves each series: perpetual before spot, then the latest last bar, more bars, the first name. ``series``
  holds the choice.
- Files of one instrument that end within one bar of the coarsest are moved together by whole coarsest bars, so that
  their timeframes still agree; they may end up to one such bar before now. Others are moved alone, by whole bars of
  their own.
- Nothing is filled or aggregated: a series without a file has no candles. Quote volume is NaN.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from backfill.errors import ConfigurationError
from backfill.paper.candle_files import CandleFile, find_files, read_candles
from backfill.paper.given_market import GivenMarket
from backfill.paper.market import Candles


@dataclass(frozen=True)
class ReplayedSeries:
    """One series as served: ``shift_ms`` is added to the file's open times."""

    file: CandleFile
    candles: Candles
    shift_ms: int = 0

    @property
    def end_ms(self) -> int:
        """Where the last bar ends, in ms."""
        return int(self.candles["open_ms"][-1]) + self.file.timeframe.step_ms

    def moved(self, shift_ms: int) -> ReplayedSeries:
        """The series moved by ``shift_ms`` more."""
        candles = self.candles.copy()
        candles["open_ms"] += shift_ms
        candles.setflags(write=False)  # slices of it are handed out
        return ReplayedSeries(self.file, candles, self.shift_ms + shift_ms)


class ReplayedMarket(GivenMarket):
    """The chosen files of ``directory``, ending at ``now_ms`` (default: now) and frozen there.

    ``select``: globs over file names without ``.csv.gz``. With ``ahead_ms`` the files end later, and their last bars
    appear as they close.
    """

    def __init__(
        self,
        directory: Path | str,
        select: str | Sequence[str] = "*",
        now_ms: int | None = None,
        ahead_ms: int = 0,
    ) -> None:
        self.directory = Path(directory)
        end_ms = (time.time_ns() // 1_000_000 if now_ms is None else now_ms) + ahead_ms
        best = _best_of_each_series(
            ReplayedSeries(file, read_candles(file)) for file in find_files(self.directory, select)
        )
        self.series: dict[tuple[str, str], ReplayedSeries] = {
            (series.file.symbol, series.file.timeframe.name): series
            for together in _ending_together(best)
            for series in _moved_to_end(together, end_ms)
        }
        super().__init__({key: series.candles for key, series in self.series.items()})

    def frozen_end_ms(self, symbol: str, timeframe: str) -> int:
        """Where the last bar of a series ends, in ms; :class:`ConfigurationError` without a file."""
        try:
            return self.series[symbol, timeframe].end_ms
        except KeyError:
            raise ConfigurationError(f"{self.directory}: no chosen file serves {symbol} {timeframe}") from None

    def describe(self) -> dict[str, object]:
        """The directory and each series' file, shift and end."""
        return {
            "kind": "replayed",
            "directory": str(self.directory),
            "series": [
                {
                    "symbol": symbol,
                    "timeframe": timeframe,
                    "file": series.file.stem,
                    "candles": len(series.candles),
                    "shift_ms": series.shift_ms,
                    "start_ms": int(series.candles["open_ms"][0]),
                    "frozen_end_ms": series.end_ms,
                }
                for (symbol, timeframe), series in sorted(self.series.items())
            ],
        }


def _best_of_each_series(found: Iterable[ReplayedSeries]) -> list[ReplayedSeries]:
    best: dict[tuple[str, str], ReplayedSeries] = {}
    for series in found:  # sorted by name: the first of equals wins
        key = (series.file.symbol, series.file.timeframe.name)
        if key not in best or _rank(series) > _rank(best[key]):
            best[key] = series
    return list(best.values())


def _rank(series: ReplayedSeries) -> tuple[bool, int, int]:
    return series.file.is_perpetual, series.end_ms, len(series.candles)


def _ending_together(found: Iterable[ReplayedSeries]) -> list[list[ReplayedSeries]]:
    groups: list[list[ReplayedSeries]] = []
    for series in sorted(found, key=lambda s: (s.file.symbol, -s.end_ms)):
        group = groups[-1] if groups else []
        if group and group[0].file.symbol == series.file.symbol:
            coarsest_ms = max(s.file.timeframe.step_ms for s in [*group, series])
            if group[0].end_ms - series.end_ms < coarsest_ms:
                group.append(series)
                continue
        groups.append([series])
    return groups


def _moved_to_end(together: list[ReplayedSeries], end_ms: int) -> list[ReplayedSeries]:
    step_ms = max(series.file.timeframe.step_ms for series in together)
    shift_ms = (end_ms - max(series.end_ms for series in together)) // step_ms * step_ms
    return [series.moved(shift_ms) for series in together]
