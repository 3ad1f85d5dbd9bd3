"""Which columns of a table fit on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

# Spaces between two columns and at both edges, in rich's box SIMPLE_HEAD with pad_edge=False and collapse_padding=True.
BETWEEN, EDGES = 2, 2
# Text is cut to this before a column is left out.
SHORTEST_TEXT = 16


class Fitted(NamedTuple):
    """``headers`` and ``widths`` by place of the columns shown (width None: as it is), and the places left out."""

    places: list[int]
    headers: list[str]
    widths: list[int | None]
    left_out: list[int]


def fit(columns: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> Fitted:
    """Wrap headers of several words, cut long text, then leave out columns from the right."""
    places = list(range(len(columns)))
    longest = [max((len(row[place]) for row in cells), default=0) for place in places]
    natural = [max(len(columns[place]), longest[place]) for place in places]
    if _sum(natural) <= width:
        return Fitted(places, list(columns), [None] * len(columns), [])
    headers = [column.replace("_", "\n") for column in columns]
    words = [max(map(len, header.split("\n"))) for header in headers]
    narrow = [max(words[place], longest[place]) for place in places]
    shown, widths = list(places), list(narrow)
    while _sum([widths[place] for place in shown]) > width and len(shown) > 1:
        too_much = _sum([widths[place] for place in shown]) - width
        widest = max(shown[1:], key=lambda place: widths[place])
        least = max(words[widest], SHORTEST_TEXT)
        if widths[widest] > least:
            widths[widest] = max(least, widths[widest] - too_much)
        else:
            shown.pop()
    cut = [widths[place] if widths[place] < narrow[place] else None for place in shown]
    return Fitted(shown, [headers[place] for place in shown], cut, [place for place in places if place not in shown])


def _sum(widths: Sequence[int]) -> int:
    return sum(widths) + BETWEEN * (len(widths) - 1) + EDGES
