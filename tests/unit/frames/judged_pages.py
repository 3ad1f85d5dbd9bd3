"""What of an answer may be stored, told in plain Python, row by row; and whether a page has told it so."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from backfill.sources.candle_source import OUT_OF_ORDER, CandlePage

MINUTE_MS = 60_000
# Every page is asked for with this cursor, as a rule half an hour before the clock that it comes with.
CURSOR_MS = 1_763_601_420_000
NOW_MS = CURSOR_MS + 30 * MINUTE_MS
OLDEST_MS, NEWEST_MS = 1_230_940_800_000, 4_102_444_800_000
SLACK_MS = 60_000


class Layout(NamedTuple):
    """Where a source's rows have what. ``last``: a shorter row is none; ``confirm``: place of "1" closed, "0" not."""

    width: int
    volume: int
    quote: int
    last: int
    confirm: int | None = None
    whole_ms: bool = False  # ccxt cuts off fractions of a millisecond


LAYOUTS = {
    "blofin": Layout(9, 6, 7, 8, confirm=8),
    "okx": Layout(9, 6, 7, 8, confirm=8, whole_ms=True),
    "bybit": Layout(7, 5, 6, 5, whole_ms=True),
    "binanceusdm": Layout(12, 5, 7, 5, whole_ms=True),
}

# Open time, four prices, volume, quote volume (None: unknown).
Bar = tuple[int, float, float, float, float, float, "float | None"]

_PLAIN = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def number(cell: Any) -> float | None:
    """A finite number that is told plainly."""
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        return None
    if isinstance(cell, str) and not _PLAIN.fullmatch(cell):
        return None
    try:
        value = float(cell)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def bar_of(
    raw: Any,
    layout: Layout,
    before_ms: float = CURSOR_MS,
    now_ms: float = NOW_MS,
    scale: float = 1,
    from_ms: float = -math.inf,
) -> Bar | None:
    """What a row says, if it says it as it should and nothing is wrong with it. ``scale``: of prices."""
    if not isinstance(raw, list) or len(raw) <= layout.last:
        return None
    if layout.confirm is not None and str(raw[layout.confirm]) not in ("0", "1"):
        return None
    told = [number(raw[place]) for place in (0, 1, 2, 3, 4, layout.volume)]
    if None in told:
        return None
    time, *prices, volume = (value for value in told if value is not None)
    open_ms = math.trunc(time) if layout.whole_ms else time
    if not OLDEST_MS <= open_ms <= NEWEST_MS or open_ms % MINUTE_MS or not from_ms <= open_ms < before_ms:
        return None
    if open_ms > now_ms + SLACK_MS:
        return None
    high, low = (value * scale for value in prices[1:3])
    open_, close = prices[0] * scale, prices[3] * scale
    if not (1e-50 <= low <= min(open_, close) and max(open_, close) <= high <= 1e50 and _is_volume(volume)):
        return None
    quote = raw[layout.quote] if len(raw) > layout.quote else None
    if quote is None or quote == "":
        return int(open_ms), open_, high, low, close, volume, None
    paid = number(quote)
    if paid is None or not _is_volume(paid):
        return None
    return int(open_ms), open_, high, low, close, volume, paid


def _is_volume(value: float) -> bool:
    return value == 0 or 1e-50 <= value <= 1e50


def is_closed(raw: Any, layout: Layout, now_ms: float = NOW_MS) -> bool:
    """Of a row that is a bar: whether the bar is over."""
    is_over = float(raw[0]) + MINUTE_MS <= now_ms
    return is_over and (layout.confirm is None or str(raw[layout.confirm]) == "1")


def assert_judged_rightly(
    page: CandlePage,
    layout: Layout,
    before_ms: float = CURSOR_MS,
    now_ms: float = NOW_MS,
    scale: float = 1,
    from_ms: float = -math.inf,
) -> None:
    """Each row is stored, running, broken or said twice, and that for the right reason."""
    bars = [bar_of(raw, layout, before_ms, now_ms, scale, from_ms) for raw in page.rows]
    versions: dict[int, set[tuple[Bar, bool]]] = {}
    for bar, raw in zip(bars, page.rows, strict=True):
        if bar:
            versions.setdefault(bar[0], set()).add((bar, str(raw[layout.confirm or 0]) == "1"))
    wrong_times = {row.open_ms for row in page.broken if row.rule == OUT_OF_ORDER}
    undisputed = {open_ms: told for open_ms, told in versions.items() if len(told) == 1 and open_ms not in wrong_times}
    expected = {
        bar[0]: bar
        for bar, raw in zip(bars, page.rows, strict=True)
        if bar and bar[0] in undisputed and is_closed(raw, layout, now_ms)
    }
    assert sound_bars(page) == [expected[open_ms] for open_ms in sorted(expected)]
    assert sorted(page.running_ms) == sorted(undisputed.keys() - expected.keys())
    places = [row.place for row in page.broken]
    assert sorted(places) == [place for place, bar in enumerate(bars) if bar is None or bar[0] not in undisputed]
    assert all(row.rule for row in page.broken)
    assert_order_is_judged_rightly(page, bars, wrong_times)


def assert_order_is_judged_rightly(
    page: CandlePage, bars: Sequence[Bar | None], wrong_times: Collection[int | None]
) -> None:
    """What is kept stands in one order, and nothing is refused where all stands in one."""
    told = [number(raw[0]) if isinstance(raw, list) and raw else None for raw in page.rows]
    times = [None if time is None else math.trunc(time) for time in told]
    kept = [bar[0] for bar in bars if bar and bar[0] not in wrong_times and times.count(bar[0]) == 1]
    assert kept in (sorted(kept), sorted(kept, reverse=True))
    all_told = [time for time in times if time is not None]
    if all_told in (sorted(all_told), sorted(all_told, reverse=True)):
        assert not wrong_times


def assert_none_is_wrong_or_lost(page: CandlePage, now_ms: float) -> None:
    """The same of a source whose rows' layout we do not look into."""
    for open_ms, open_, high, low, close, volume, paid in sound_bars(page):
        assert OLDEST_MS <= open_ms <= now_ms - MINUTE_MS
        assert open_ms % MINUTE_MS == 0
        assert 1e-50 <= low <= min(open_, close) <= max(open_, close) <= high <= 1e50
        assert _is_volume(volume)
        assert paid is None or _is_volume(paid)
    opens_ms = [*page.sound["open_ms"].tolist(), *page.running_ms]
    places = [row.place for row in page.broken]
    assert len(set(opens_ms)) == len(opens_ms)
    assert len(set(places)) == len(places)
    not_broken = len(page.rows) - len(places)
    assert len(opens_ms) == not_broken or 0 < len(opens_ms) < not_broken  # the difference was said twice


def sound_bars(page: CandlePage) -> list[Bar]:
    columns = ["open_ms", "open", "high", "low", "close", "volume", "quote_volume"]
    rows = zip(*(page.sound[name].tolist() for name in columns), strict=True)
    return [(*row[:6], None if row[6] != row[6] else row[6]) for row in rows]
