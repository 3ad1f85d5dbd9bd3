"""What the pages of docs/ show of the code itself: commands, sources, tables, the universe file.

mkdocs loads this file as a hook: a line `<!-- reference: NAME -->` of a page becomes what the function NAME returns, so
that no page can lag behind the code.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg

from backfill.cli.arguments import parser
from backfill.config.settings import default_universe
from backfill.domain.timeframes import TIMEFRAMES
from backfill.domain.venues import VENUES, Venue
from backfill.local.embedded_postgres import EmbeddedPostgres
from backfill.storage.database import connect
from backfill.storage.migrations import migrate

MARK = re.compile(r"<!-- reference: (\w+) -->")
ROOT = Path(__file__).parents[1]
DECISIONS = ROOT / "docs" / "decisions"
# Options of nearly all commands, described once.
COMMON = ("--json", "--wide", "--db", "--help")
CATALOG = """
SELECT c.relname AS name, c.relkind = 'v' AS is_view, obj_description(c.oid, 'pg_class') AS about,
       a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type, NOT a.attnotnull AS nullable,
       col_description(c.oid, a.attnum) AS column_about
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'backfill'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
ORDER BY c.relname, a.attnum
"""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """mkdocs' hook: fill in the references of a page."""
    return MARK.sub(lambda found: REFERENCES[found[1]](), markdown)


def commands() -> str:
    """Each command, its subcommands and options, from the parser itself."""
    return "\n".join(_commands_of(parser(), "backfill", level=3))


def sources() -> str:
    """Each known venue: what it serves, in which pages, how far back, within which limits."""
    rows = [_source_row(one) for one in VENUES.values()]
    return _table(("source", "serves", "rows a page", "reaches back", "limits", "a bar without a trade"), rows)


def timeframes() -> str:
    """The names of the timeframes."""
    return " ".join(f"`{name}`" for name in TIMEFRAMES)


def universe() -> str:
    """The universe file as it is shipped: each key is explained in it."""
    return f"```yaml\n{default_universe().read_text(encoding='utf-8').rstrip()}\n```"


def tables() -> str:
    """Every table and view with its columns, read from an empty database that has all migrations."""
    with tempfile.TemporaryDirectory(prefix="candle-keeper-docs-") as folder:
        Path(folder).chmod(0o755)
        server = EmbeddedPostgres(Path(folder), durable=False)
        try:
            server.start()
            server.ensure_database("candles")
            with connect(server.uri()) as connection:
                migrate(connection)
                return tables_of(connection)
        finally:
            server.remove()


def tables_of(connection: psycopg.Connection[Any]) -> str:
    """The same of an open database."""
    by_name: dict[tuple[bool, str], list[tuple[Any, ...]]] = {}
    for name, is_view, *rest in connection.execute(CATALOG).fetchall():
        by_name.setdefault((not is_view, name), []).append(tuple(rest))
    sections = []
    for (is_table, name), columns in sorted(by_name.items()):
        rows = [(f"`{one[1]}`", one[2] + ("" if one[3] or not is_table else ", not null"), one[4]) for one in columns]
        kind = "table" if is_table else "view"
        sections.append(f"### `{name}` ({kind})\n\n{columns[0][0] or ''}\n\n{_table(('column', 'type', ''), rows)}")
    return "\n\n".join(sections)


def decisions() -> str:
    """The decisions, in their order, by their titles."""
    files = sorted(DECISIONS.glob("[0-9]*.md"))
    titles = [file.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ") for file in files]
    return "\n".join(f"- [{title}]({file.name})" for file, title in zip(files, titles, strict=True))


REFERENCES: dict[str, Callable[[], str]] = {
    one.__name__: one for one in (commands, sources, timeframes, universe, tables, decisions)
}


def _commands_of(of: argparse.ArgumentParser, name: str, level: int) -> Iterator[str]:
    rows = []
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            about = {one.dest: one.help for one in action._choices_actions}
            for word, one in action.choices.items():
                yield f"\n{'#' * level} `{name} {word}`\n\n{_sentence(about.get(word))}\n"
                yield from _commands_of(one, f"{name} {word}", level + 1)
        elif not set(action.option_strings) & set(COMMON):
            words = ", ".join(action.option_strings) or str(action.metavar or action.dest)
            value = (
                "" if action.nargs == 0 or not action.option_strings else f" {action.metavar or action.dest.upper()}"
            )
            rows.append((f"`{words}{value}`", action.help or ""))
    if rows:
        yield _table(("option", ""), rows)


def _sentence(text: str | None) -> str:
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _source_row(venue: Venue) -> tuple[str, ...]:
    serves = [word for word, served in (("perpetuals", venue.perpetuals), ("spot", venue.spot)) if served]
    limits = [f"{requests:,} requests in {period_s:,} s" for requests, period_s in venue.limits_per_period_s]
    flat = {True: "is sent as a flat bar", False: "is left out", None: "not known"}[venue.fills_no_trade]
    reach = "to the listing, or not known" if venue.reach_bars is None else f"{venue.reach_bars:,} bars"
    return (f"`{venue.source}`", ", ".join(serves), f"{venue.rows_per_page:,}", reach, "; ".join(limits), flat)


def _table(head: tuple[str, ...], rows: list[tuple[str | None, ...]] | list[tuple[str, ...]]) -> str:
    cells = [[str(cell or "").replace("|", "\\|").replace("\n", " ") for cell in row] for row in (head, *rows)]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])
