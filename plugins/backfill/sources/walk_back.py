"""Walking from new to old, page by page, until a wanted time is reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from backfill.errors import PaginationStalled


class Page(Protocol):
    """One answer. ``oldest_ms`` is None only when the source has nothing before the cursor."""

    @property
    def oldest_ms(self) -> int | None: ...


P = TypeVar("P", bound=Page)


def walk_back(fetch: Callable[[int], P], after_ms: int, reach_ms: int, source: str) -> Iterator[tuple[int, P]]:
    """Pairs of cursor and page, new to old, until ``reach_ms`` is covered or the source has nothing older.

    A short page is not the end: only an empty one is, and it is given as the last. Raises
    :class:`PaginationStalled` when a page brings nothing older than its cursor.
    """
    cursor = after_ms
    while cursor > reach_ms:
        page = fetch(cursor)
        yield cursor, page
        if page.oldest_ms is None:
            return
        if page.oldest_ms >= cursor:
            raise PaginationStalled(source, cursor, page.oldest_ms)
        cursor = page.oldest_ms
