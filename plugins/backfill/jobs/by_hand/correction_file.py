"""Read a CSV of corrections, one complete bar per line."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backfill.config.parameters import as_moment
from backfill.domain.timeframes import TIMEFRAMES, utc
from backfill.errors import ConfigurationError, CorrectionsInvalid
from backfill.storage.series import SeriesWindow

if TYPE_CHECKING:
    import pandas as pd

    from backfill.domain.candle_rules import Rule

KEYS = ("symbol", "timeframe", "open_time")
PRICE_COLUMNS = ("open", "high", "low", "close")
REQUIRED = (*KEYS, *PRICE_COLUMNS, "volume")
QUOTE_VOLUME = "quote_volume"


class CorrectionFile(NamedTuple):
    """A valid file. ``candles``: as in :class:`CandlesByHand`, ``place`` is the line.

    ``tells_quote_volume``: whether it has the column. ``series``: those it names.
    """

    candles: pd.DataFrame
    tells_quote_volume: bool
    series: list[SeriesWindow]


class Fault(NamedTuple):
    line: int
    what: str

    def __str__(self) -> str:
        return f"line {self.line}, {self.what}"


class _Table(NamedTuple):
    """Columns by header name, and the line that each row ends on."""

    columns: dict[str, Sequence[str]]
    lines: list[int]


def read_corrections(path: Path, series: Sequence[SeriesWindow]) -> CorrectionFile:
    """Read bars, which must be within the windows of ``series``.

    UTF-8, with or without byte order mark; columns in any order and case; commas, semicolons or tabs. Raises
    :class:`CorrectionsInvalid` with every fault by line and column.
    """
    faults: list[Fault] = []
    table = _table(path, faults)
    checked = _Checks(table, series, faults)
    if faults:
        raise CorrectionsInvalid(str(path), [str(fault) for fault in sorted(faults)])
    return CorrectionFile(checked.candles.astype({"open_ms": "int64"}), QUOTE_VOLUME in table.columns, checked.series)


def _table(path: Path, faults: list[Fault]) -> _Table:
    lines: list[int] = []
    rows: list[list[str]] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            delimiter = max(",;\t", key=first.count)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            header = [name.strip().lower() for name in next(reader, [])]
            _check_header(path, header)
            try:
                for row in reader:
                    if len(row) == len(header):
                        lines.append(reader.line_num)
                        rows.append(_decimal_points(header, row) if delimiter == ";" else row)
                    elif row:
                        faults.append(Fault(reader.line_num, f"{len(row)} fields: the header has {len(header)}"))
            except csv.Error as error:  # the rest may be misread
                faults.append(Fault(reader.line_num, f"unreadable: {error}"))
    except csv.Error as error:
        raise CorrectionsInvalid(str(path), [f"line 1, unreadable: {error}"]) from error
    except UnicodeDecodeError as error:
        raise CorrectionsInvalid(str(path), ["it is no text in UTF-8: save it as CSV in UTF-8"]) from error
    except (OSError, ValueError) as error:
        raise CorrectionsInvalid(str(path), [f"it cannot be read: {getattr(error, 'strerror', error)}"]) from error
    columns = zip(*rows, strict=True) if rows else ([] for _ in header)
    return _Table(dict(zip(header, columns, strict=True)), lines)


def _decimal_points(header: Sequence[str], row: Sequence[str]) -> list[str]:
    """Beside semicolons a comma may be the decimal point."""
    return [cell if name in KEYS else cell.replace(",", ".") for name, cell in zip(header, row, strict=True)]


def _check_header(path: Path, header: Sequence[str]) -> None:
    problems = [f"line 1, {name}: no such column in the header" for name in REQUIRED if name not in header]
    unknown = [name for name in header if name not in (*REQUIRED, QUOTE_VOLUME)]
    problems += [f"line 1, {name!r} is no column of a correction" for name in unknown]
    problems += [f"line 1, {name}: the header names it twice" for name, times in Counter(header).items() if times > 1]
    if problems:
        raise CorrectionsInvalid(str(path), [*problems, f"the columns are {', '.join((*REQUIRED, QUOTE_VOLUME))}"])


class _Checks:
    """A table's cells as numbers, and their faults."""

    def __init__(self, table: _Table, series: Sequence[SeriesWindow], faults: list[Fault]) -> None:
        import pandas as pd

        from backfill.domain.candle_columns import VOLUMES

        self._table = table
        self._faults = faults
        named = self._series(series)
        self.series = list({window.series_id: window for window in named if window}.values())
        self.candles = pd.DataFrame(
            {
                "place": np.array(table.lines, dtype=np.int64),
                "series_id": [window.series_id if window else -1 for window in named],
                "open_ms": self._open_times(),
                **{name: self._prices(name) for name in PRICE_COLUMNS},
                **{name: self._volumes(name) for name in VOLUMES},
            }
        )
        self._check_bars(named)
        self._check_quantities()
        self._check_repetitions()

    def _series(self, series: Sequence[SeriesWindow]) -> list[SeriesWindow | None]:
        windows = {(window.symbol, window.timeframe): window for window in series}
        timeframes: dict[str, list[str]] = {}
        for symbol, timeframe in windows:
            timeframes.setdefault(symbol, []).append(timeframe)
        named: list[SeriesWindow | None] = []
        pairs = zip(self._table.columns["symbol"], self._table.columns["timeframe"], strict=True)
        for line, (symbol, timeframe) in zip(self._table.lines, pairs, strict=True):
            window = windows.get((symbol, timeframe))
            named.append(window)
            if window is None and symbol not in timeframes:
                self._faults.append(Fault(line, f"symbol: we keep no {symbol!r}"))
            elif window is None:
                kept = ", ".join(timeframes[symbol])
                self._faults.append(Fault(line, f"timeframe: we keep no {timeframe!r} of {symbol}; kept are {kept}"))
        return named

    def _open_times(self) -> NDArray[np.float64]:
        cells = self._table.columns["open_time"]
        open_ms = np.array([_open_ms(cell) for cell in cells], dtype=np.float64)
        self._tell(np.isnan(open_ms), "open_time", "is no time; write ISO 8601 such as 2026-01-31T12:00Z, or epoch ms")
        return open_ms

    def _prices(self, name: str) -> NDArray[np.float64]:
        values = self._numbers(name)
        self._tell(np.array([cell == "" for cell in self._table.columns[name]], dtype=bool), name, "is no price")
        self._tell(values <= 0, name, "is not above 0")
        return values

    def _volumes(self, name: str) -> NDArray[np.float64]:
        if name not in self._table.columns:
            return np.full(len(self._table.lines), np.nan)
        values = self._numbers(name)
        self._tell(values < 0, name, "is below 0")
        return values

    def _numbers(self, name: str) -> NDArray[np.float64]:
        from backfill.frames.candle_frame import numbers

        values, malformed = numbers(self._table.columns[name])
        self._tell(malformed, name, "is no finite decimal number")
        return values

    def _tell(self, bad: NDArray[np.bool_], name: str, what: str) -> None:
        cells = self._table.columns[name]
        places: list[int] = bad.nonzero()[0].tolist()
        self._faults += [Fault(self._table.lines[place], f"{name}: {cells[place]!r} {what}") for place in places]

    def _check_bars(self, named: Sequence[SeriesWindow | None]) -> None:
        bars = self.candles.assign(
            timeframe=[window.timeframe if window else "" for window in named],
            first_ms=[window.start_ms if window else np.nan for window in named],
            past_ms=[window.end_ms if window else np.nan for window in named],
        ).dropna(subset=["first_ms", "open_ms"])
        self._tell_times(bars[bars["open_ms"] >= bars["past_ms"]], lambda _: "the bar is not over yet")
        self._tell_times(
            bars[bars["open_ms"] < bars["first_ms"]], lambda bar: f"the series is kept from {_iso(bar.first_ms)} on"
        )
        for timeframe, of_timeframe in bars.groupby("timeframe"):
            self._check_rules(str(timeframe), of_timeframe)

    def _check_rules(self, timeframe: str, bars: pd.DataFrame) -> None:
        from backfill.domain import candle_rules as rules

        asked = rules.Asked(TIMEFRAMES[timeframe])
        off_grid = bars[rules.open_time_is_off_the_grid(bars, asked)]
        self._tell_times(off_grid, lambda bar: f"{_iso(bar.open_ms)} opens no bar of {timeframe}")
        extremes: tuple[tuple[str, Rule], ...] = (
            ("high", rules.high_is_not_highest),
            ("low", rules.low_is_not_lowest),
            ("prices and volumes", rules.number_is_absurd),
        )
        for column, rule in extremes:
            for bar in _each(bars[rule(bars, asked)]):
                values = ", ".join(f"{name} {getattr(bar, name):.12g}" for name in PRICE_COLUMNS)
                self._faults.append(Fault(bar.place, f"{column}: {rule.__name__} ({values})"))

    def _check_quantities(self) -> None:
        from backfill.domain.candle_rules import LARGEST
        from backfill.domain.quantities import WRONG_UNIT, unfitting

        bars = self.candles[self.candles["volume"] < LARGEST]
        for bar in _each(bars[unfitting(bars, WRONG_UNIT)]):
            paid = (
                f"{bar.quote_volume:.12g} for {bar.volume:.12g} is no price between {bar.low:.12g} and {bar.high:.12g}"
            )
            self._faults.append(Fault(bar.place, f"{QUOTE_VOLUME}: {paid}"))

    def _tell_times(self, bars: pd.DataFrame, what: Callable[[Any], str]) -> None:
        self._faults += [Fault(bar.place, f"open_time: {what(bar)}") for bar in _each(bars)]

    def _check_repetitions(self) -> None:
        key = ["series_id", "open_ms"]
        whole = self.candles[(self.candles["series_id"] >= 0) & self.candles["open_ms"].notna()]
        repeated = whole[whole.duplicated(key)]
        if len(repeated):
            first = whole.groupby(key)["place"].transform("first")
            for line, first_line in zip(repeated["place"], first[repeated.index], strict=True):
                self._faults.append(Fault(int(line), f"open_time: the bar of line {first_line} again"))


def _each(bars: pd.DataFrame) -> Iterable[Any]:
    return bars.itertuples()


def _open_ms(cell: str) -> float:
    """Epoch ms with fractions; NaN if invalid."""
    try:
        # psql writes UTC as +00, which Python 3.10 does not read.
        at = as_moment("open_time", cell.removesuffix("+00") if ":" in cell else cell)
    except ConfigurationError:
        return math.nan
    return math.nan if at is None else at.timestamp() * 1000


def _iso(ms: float) -> str:
    return f"{utc(int(ms)):%Y-%m-%dT%H:%M:%SZ}"
