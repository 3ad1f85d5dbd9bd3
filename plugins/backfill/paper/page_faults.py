"""Faults of one page of candles, by name, in every exchange's wire format. No HTTP.

Row faults change ``rows`` rows, a ``share`` of them, or the bars in ``opens_ms``; by default one row. Running bars are
never changed.

    moved            times are moved ``by`` -400d (default), +1h, -1page, -17s, -1ms, 3bar ...; ``future``: to bars
                     after now; ``any``: each row by one of MOVES
    neighbours_time  the row takes the time of the row before or after it: one time, two bars
    times_swapped    two rows swap times
    block_shifted    ``rows`` consecutive rows (10) are moved ``by`` (back their own length), replacing the bars there
    left_out         rows are missing (5 %)
    duplicated       rows come twice
    garbled          a number becomes ``value`` text, nan, empty, null or negative (random for each row)
    reordered        rows (2) change places and keep their times

Page faults:

    short_page       only ``rows`` rows (30 %), the ``keep`` newest (default) or oldest
    empty_page       no rows
    lagging          a replica without the newest ``rows`` bars (50)
    wrong_cursor     the page at a cursor moved ``by`` -1page (default), +1page ...; Kraken has no cursor
    other_instrument the page of ``other``, by default the next of the same kind
    other_timeframe  the page of ``other``, by default the next longer

Faults apply in order, those that ask for another page first. Seeded dice choose the rows.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from backfill.domain.timeframes import DAY_MS, HOUR_MS, MINUTE_MS, Timeframe
from backfill.domain.timeframes import timeframe as timeframe_named
from backfill.errors import ConfigurationError
from backfill.paper.market import PaperMarket
from backfill.paper.protocol import Answer, CandleWire, Cells, ExchangeProtocol, Query, json_answer
from backfill.paper.wrong_views import AtWrongCursor, FromLateReplica, OfOtherInstrument, OfOtherTimeframe

MOVES = ("+1h", "-1h", "+1page", "-1page", "+400d", "-400d", "-17s", "-1ms", "+77s", "future")
GARBLED = ("text", "nan", "empty", "null", "negative")


@dataclass(frozen=True)
class PageDamage:
    """One page fault and its parameters; None or empty means the default."""

    name: str
    rows: int | None = None
    share: float | None = None
    by: str = ""
    keep: Literal["newest", "oldest"] = "newest"
    value: str = ""
    other: str = ""
    opens_ms: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.name not in PAGES:
            raise ConfigurationError(f"no fault of pages is called {self.name!r}; known are {', '.join(PAGES)}")
        if self.by and not (self.name == "moved" and self.by in ("any", "future")):
            _offset_ms(self.by, 1, 1)
        if self.name == "other_timeframe" and self.other:
            timeframe_named(self.other)
        if self.keep not in ("newest", "oldest"):
            raise ConfigurationError(f"keep is newest or oldest, not {self.keep!r}")
        if self.value and self.value not in GARBLED:
            raise ConfigurationError(f"value is one of {', '.join(GARBLED)}, not {self.value!r}")
        if self.share is not None and not 0 <= self.share <= 1:
            raise ConfigurationError(f"share is between 0 and 1, not {self.share}")
        if self.rows is not None and self.rows < 0:
            raise ConfigurationError(f"rows is a number of rows, not {self.rows}")


@dataclass(frozen=True)
class PageRow:
    """One row as sent: ``true_ms`` is its bar's open time (None: another series), ``open_ms`` the time sent.

    ``is_garbled``: a number was changed.
    """

    cells: Cells
    open_ms: int
    true_ms: int | None
    is_garbled: bool = False

    @property
    def is_true(self) -> bool:
        """Whether both time and numbers are the bar's own."""
        return self.open_ms == self.true_ms and not self.is_garbled


class Question(NamedTuple):
    protocol: ExchangeProtocol
    market: PaperMarket
    path: str
    query: Query
    now_ms: int


@dataclass(frozen=True)
class FaultyPage:
    """The answer to one request for candles; ``rows`` oldest first unless reordered."""

    question: Question
    true: Answer
    true_opens_ms: tuple[int, ...]
    rows: tuple[PageRow, ...]

    @property
    def wire(self) -> CandleWire:
        """Where this exchange's answers carry candles."""
        return self.question.protocol.wire

    @property
    def bar(self) -> Timeframe:
        """The timeframe that the query names."""
        return self.wire.bar(self.question.path, self.question.query)

    @property
    def true_rows(self) -> dict[int, Cells]:
        """The rows of the sound answer, by open time in ms."""
        rows = self.wire.rows_in(json.loads(self.true.body))
        return {self.wire.open_ms(cells): cells for cells in rows}

    @property
    def left_out(self) -> set[int]:
        """Open times (ms) in the sound answer that no true row has."""
        return set(self.true_opens_ms) - {row.open_ms for row in self.rows if row.is_true}

    def contains(self, time_ms: int) -> bool:
        """Whether the sound answer spans that time."""
        opens = self.true_opens_ms
        return bool(opens) and opens[0] <= time_ms < opens[-1] + self.bar.step_ms

    def answer(self) -> Answer:
        """The rows in the exchange's wire format."""
        body = json.loads(self.true.body)
        rows = [row.cells for row in self.rows]
        self.wire.replace_rows(body, rows[::-1] if self.wire.newest_first else rows)
        return self.true._replace(body=json_answer(body).body)


def sound_page(question: Question, answer: Answer | None = None) -> FaultyPage | None:
    """The undamaged page, from ``answer`` if known; None if it holds no candles."""
    protocol, market, path, query, now_ms = question
    if not protocol.wire.has(path):
        return None
    answer = answer or protocol.answer(market, "GET", path, query, now_ms)
    if answer.symbol is None or answer.status != 200:
        return None
    try:
        rows = protocol.wire.rows_in(json.loads(answer.body))
    except (KeyError, TypeError):  # an error that names its instrument
        return None
    rows = rows[::-1] if protocol.wire.newest_first else rows
    opens_ms = tuple(protocol.wire.open_ms(cells) for cells in rows)
    sound = tuple(PageRow(cells, open_ms, open_ms) for cells, open_ms in zip(rows, opens_ms, strict=True))
    return FaultyPage(question, answer, opens_ms, sound)


def damaged_page(page: FaultyPage, damages: Sequence[tuple[PageDamage, random.Random]]) -> FaultyPage:
    """The page with these faults; each one's dice choose its rows."""
    page = _asked_otherwise(page, [damage for damage, _ in damages if damage.name in VIEWS])
    rows = list(page.rows)
    for damage, dice in damages:
        if damage.name in ROWS:
            rows = ROWS[damage.name](rows, _Scene(damage, dice, page))
    return replace(page, rows=tuple(rows))


def dice_of(seed: int, *parts: object) -> random.Random:
    """The same dice for the same parts, in every process."""
    return random.Random(":".join(map(str, (seed, *parts))))  # noqa: S311


# Faults that ask for another page.


def _asked_otherwise(page: FaultyPage, damages: Sequence[PageDamage]) -> FaultyPage:
    market = page.question.market
    for damage in damages:
        if damage.name != "wrong_cursor" or page.wire.has_cursor:
            market = VIEWS[damage.name](market, damage)
    other = sound_page(page.question._replace(market=market)) if market is not page.question.market else None
    if other is None:
        return page
    is_other_series = any(damage.name.startswith("other_") for damage in damages)
    rows = tuple(replace(row, true_ms=None) for row in other.rows) if is_other_series else other.rows
    return replace(page, rows=rows)


def _at_wrong_cursor(market: PaperMarket, damage: PageDamage) -> PaperMarket:
    return AtWrongCursor(market, lambda limit, step_ms: _offset_ms(damage.by or "-1page", step_ms, limit))


VIEWS: dict[str, Callable[[PaperMarket, PageDamage], PaperMarket]] = {
    "lagging": lambda market, damage: FromLateReplica(market, 50 if damage.rows is None else damage.rows),
    "wrong_cursor": _at_wrong_cursor,
    "other_instrument": lambda market, damage: OfOtherInstrument(market, damage.other),
    "other_timeframe": lambda market, damage: OfOtherTimeframe(market, damage.other),
}

# Faults of rows.


class _Scene(NamedTuple):
    damage: PageDamage
    dice: random.Random
    page: FaultyPage

    def chosen(self, rows: Sequence[PageRow], usual_rows: int = 1, usual_share: float | None = None) -> list[int]:
        """Indexes of the rows to damage."""
        damage = self.damage
        ended = self.candidates(rows)
        share = usual_share if damage.share is None and damage.rows is None else damage.share
        if share is not None:
            count = round(share * len(ended)) or int(share > 0)
        elif damage.rows is None:
            count = usual_rows if damage.opens_ms is None else len(ended)
        else:
            count = damage.rows
        return sorted(self.dice.sample(ended, min(count, len(ended))))

    def candidates(self, rows: Sequence[PageRow]) -> list[int]:
        """Indexes of the ended rows, in ``opens_ms`` if given."""
        now_ms, opens_ms = self.page.question.now_ms, self.damage.opens_ms
        return [
            place
            for place, row in enumerate(rows)
            if row.open_ms + self.page.bar.step_ms <= now_ms and (opens_ms is None or row.true_ms in opens_ms)
        ]

    def moved(self, row: PageRow, by_ms: int) -> PageRow:
        """The row moved by ``by_ms``."""
        cells = self.page.wire.moved(row.cells, by_ms)
        return replace(row, cells=cells, open_ms=self.page.wire.open_ms(cells))

    def offset_ms(self, by: str) -> int:
        """Parse ``by`` into ms, using this page's bar and length."""
        return _offset_ms(by, self.page.bar.step_ms, max(1, len(self.page.true_opens_ms)))


_UNITS_MS = {"ms": 1, "s": 1000, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}


def _offset_ms(by: str, step_ms: int, page_bars: int) -> int:
    """Parse -400d, +1h, 3bar or -1page into ms; query strings turn + into a blank."""
    found = re.fullmatch(r"\s*([+-]?\d+)(ms|s|m|h|d|bar|page)", by)
    if found is None:
        raise ConfigurationError(f"by is a number of ms, s, m, h, d, bar or page, as in -400d; not {by!r}")
    units_ms = {**_UNITS_MS, "bar": step_ms, "page": step_ms * page_bars}
    return int(found[1]) * units_ms[found[2]]


def _with_places(rows: Sequence[PageRow], changed: dict[int, PageRow]) -> list[PageRow]:
    return [changed.get(place, row) for place, row in enumerate(rows)]


def _moved(rows: list[PageRow], scene: _Scene) -> list[PageRow]:
    bar, now_ms = scene.page.bar, scene.page.question.now_ms
    changed = {}
    for number, place in enumerate(scene.chosen(rows), start=1):
        by = scene.damage.by or "-400d"
        by = scene.dice.choice(MOVES) if by == "any" else by
        to_future_ms = bar.floor(now_ms) + number * bar.step_ms - rows[place].open_ms
        changed[place] = scene.moved(rows[place], to_future_ms if by == "future" else scene.offset_ms(by))
    return _with_places(rows, changed)


def _neighbours_time(rows: list[PageRow], scene: _Scene) -> list[PageRow]:
    changed = {}
    for place in scene.chosen(rows):
        beside = [other for other in (place - 1, place + 1) if 0 <= other < len(rows)]
        if beside:
            neighbour = rows[scene.dice.choice(beside)]
            changed[place] = scene.moved(rows[place], neighbour.open_ms - rows[place].open_ms)
    return _with_places(rows, changed)


def _times_swapped(rows: list[PageRow], scene: _Scene) -> list[PageRow]:
    places = scene.chosen(rows, usual_rows=2)
    scene.dice.shuffle(places)
    changed = {}
    for one, other in zip(places[::2], places[1::2], strict=False):
        apart_ms = rows[other].open_ms - rows[one].open_ms
        changed[one] = scene.moved(rows[one], apart_ms)
        changed[other] = scene.moved(rows[other], -apart_ms)
    return _with_places(rows, changed)


def _block_shifted(rows: list[PageRow], scene: _Scene) -> list[PageRow]:
    length = 10 if scene.damage.rows is None else scene.damage.rows
    by_ms = scene.offset_ms(scene.damage.by or f"-{length}bar")
    candidates = scene.candidates(rows)
    start = scene.dice.randrange(max(1, len(candidates) - length + 1))
    block = {place: scene.moved(rows[place], by_ms) for place in candidates[start : start + length]}
    taken = {row.open_ms for row in block.values()}
    return [row for place, row in enumerate(_with_places(rows, block)) if place in block or row.open_ms not in taken]


def _left_out(rows: list[PageRow], scene: _Scene) -> list[PageRow]:
    gone = set(scene.chosen(rows, usual_share=None if scene.damage.opens_ms else 0.05))
    return [row for place, row in enumerate(rows) if place not in gone]


def _duplicated(rows: list[PageRow], scene: _Scene) -> list[PageRow]:
    twice = set(scene.chosen(rows))
    return [row for place, row in enumerate(rows) for _ in range(1 + (place in twice))]


def _garbled(rows: list[PageRow], scene: _Scene) -> list[PageRow]:
    changed = {}
    for place in scene.chosen(rows):
        cells = copy(rows[place].cells)
        column = scene.dice.choice(scene.page.wire.numbers)
        kind = scene.damage.value or scene.dice.choice(GARBLED)
        instead: dict[str, Any] = {"text": "n/a", "nan": "NaN", "empty": "", "null": None}
        cells[column] = instead[kind] if kind in instead else f"-1{cells[column]}"
        changed[place] = replace(rows[place], cells=cells, is_garbled=True)
    return _with_places(rows, changed)


def _reordered(rows: list[PageRow], scene: _Scene) -> list[PageRow]:
    places = scene.chosen(rows, usual_rows=2)
    return _with_places(
        rows, {place: rows[other] for place, other in zip(places, places[1:] + places[:1], strict=True)}
    )


def _short_page(rows: list[PageRow], scene: _Scene) -> list[PageRow]:
    damage = scene.damage
    share = 0.3 if damage.share is None else damage.share
    kept = min(len(rows), round(share * len(rows)) if damage.rows is None else damage.rows)
    return rows[len(rows) - kept :] if damage.keep == "newest" else rows[:kept]


def _empty_page(rows: list[PageRow], scene: _Scene) -> list[PageRow]:
    return []


ROWS: dict[str, Callable[[list[PageRow], _Scene], list[PageRow]]] = {
    "moved": _moved,
    "neighbours_time": _neighbours_time,
    "times_swapped": _times_swapped,
    "block_shifted": _block_shifted,
    "left_out": _left_out,
    "duplicated": _duplicated,
    "garbled": _garbled,
    "reordered": _reordered,
    "short_page": _short_page,
    "empty_page": _empty_page,
}

PAGES: tuple[str, ...] = (*ROWS, *VIEWS)
