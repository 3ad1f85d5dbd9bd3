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
        """The one JSON document of a ``--json`` run: what ran, then its result (docs/command_line.md)."""
        envelope = {"command": self._command, "version": __version__} if self._command else {}
        print(json.dumps({**envelope, **document}, default=_plain, indent=2))

    def failure(self, error: Exception, exit_code: int) -> None:
        """Print why a command ended early; a ``--json`` run gets a document too."""
        self.error(str(error) or type(error).__name__)
        if self.as_json:
            problems = list(getattr(error, "problems", ()))
            told = {"type": type(error).__name__, "message": str(error), "problems": problems}
            self.document({"error": told, "exit_code": exit_code})

    def table(self, title: str, rows: Sequence[Row], columns: Sequence[str]) -> None:
        """Print ``columns`` of ``rows`` under a title."""
        cells = [[_shown(row[column]) for column in columns] for row in rows]
        fitted = fit(columns, cells, self.results.width)
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
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
        """A progress bar on a terminal; elsewhere None, and the caller prints a line per item."""
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
