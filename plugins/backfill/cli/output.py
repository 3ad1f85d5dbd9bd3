"""Tables and progress bars for people, plain lines or one JSON document for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from backfill import __version__
from backfill.cli.tables import fit

Row = Mapping[str, Any]
# A file or a pipe is not wrapped.
FILE_WIDTH = 10_000
MANY_ROWS = 200


class Output:
    """Results go to standard output, progress and errors to standard error."""

    def __init__(self, *, as_json: bool, command: str | None = None, wide: bool = False) -> None:
        self.as_json = as_json
        self._command = command
        # Text from exchanges and databases is not markup.
        width = None if sys.stdout.isatty() and not wide else FILE_WIDTH
        self.results = Console(width=width, markup=False, emoji=False, highlight=False)
        soft_wrap = not sys.stderr.isatty()
        self.notes = Console(stderr=True, soft_wrap=soft_wrap, markup=False, emoji=False, highlight=False)

    def document(self, document: Mapping[str, Any]) -> None:
        """A ``--json`` run's document: what ran, then its result (docs/command_line.md); a line per row."""
        envelope = {"command": self._command, "version": __version__} if self._command else {}
        fields = {**envelope, **document}.items()
        print("{\n" + ",\n".join(f"  {json.dumps(name)}: {_value(value)}" for name, value in fields) + "\n}")

    def failure(self, error: Exception, exit_code: int) -> None:
        """Print why a command ended early; with ``--json`` as a document."""
        self.error(str(error) or type(error).__name__)
        if self.as_json:
            problems = list(getattr(error, "problems", ()))
            failed = {"type": type(error).__name__, "message": str(error), "problems": problems}
            self.document({"error": failed, "exit_code": exit_code})

    def table(self, title: str, rows: Sequence[Row], columns: Sequence[str]) -> None:
        """Print ``columns`` of ``rows`` under a title."""
        if len(rows) > MANY_ROWS:
            self._plain_table(title, rows, columns)
            return
        cells = [[_shown(row[column]) for column in columns] for row in rows]
        fitted = fit(columns, cells, self.results.width)
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        for place, header, width in zip(fitted.places, fitted.headers, fitted.widths, strict=True):
            table.add_column(
                header,
                justify="right" if _is_numeric(rows, columns[place]) else "left",
                overflow="ellipsis" if width else "fold",
                no_wrap=bool(width) or columns[place] == "symbol",
                max_width=width,
            )
        for row in cells:
            table.add_row(*(row[place] for place in fitted.places))
        self.results.print(table)
        if fitted.left_out:
            self.line(f"not shown for lack of room: {', '.join(columns[place] for place in fitted.left_out)} (--wide)")

    def _plain_table(self, title: str, rows: Sequence[Row], columns: Sequence[str]) -> None:
        """Without wrapping: rich takes milliseconds a row."""
        cells = [[_shown(row[column]) for column in columns] for row in rows]
        widths = [
            max(len(name), *map(len, column)) for name, column in zip(columns, zip(*cells, strict=True), strict=True)
        ]
        right = [_is_numeric(rows, column) for column in columns]
        lines = [title, "  ".join(name.ljust(width) for name, width in zip(columns, widths, strict=True))]
        for row in cells:
            aligned = (
                cell.rjust(width) if to_right else cell.ljust(width)
                for cell, width, to_right in zip(row, widths, right, strict=True)
            )
            lines.append("  ".join(aligned).rstrip())
        self.results.file.write("\n".join(lines) + "\n")

    def line(self, text: str) -> None:
        """Print a line of the result."""
        self.results.print(text, soft_wrap=True)

    def note(self, text: str) -> None:
        """Print a line of progress, unless the output is JSON."""
        if not self.as_json:
            self.notes.print(text)

    def error(self, text: str) -> None:
        """Print an error."""
        self.notes.print(f"error: {text}", style="red")

    @contextmanager
    def progress(self, total: int, what: str) -> Iterator[Progress | None]:
        """A progress bar on a terminal; elsewhere None: the caller prints a line per item."""
        if self.as_json or not self.notes.is_terminal:
            yield None
            return
        columns = (
            TextColumn(what),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[last]}", markup=False),
        )
        with Progress(*columns, console=self.notes) as progress:
            progress.add_task(what, total=total, last="")
            yield progress


def _value(value: Any) -> str:
    if not isinstance(value, list) or not value:
        return json.dumps(value, default=_plain)
    return "[\n    " + ",\n    ".join(json.dumps(row, default=_plain) for row in value) + "\n  ]"


def _is_numeric(rows: Iterable[Row], column: str) -> bool:
    return all(isinstance(row[column], int | float | type(None)) for row in rows)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in JSON")
