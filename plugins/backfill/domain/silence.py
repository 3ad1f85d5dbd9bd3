"""Whether the bars a source lacks are plausible, measured by its silence elsewhere in the series.

A coin silent half of the time may be so again; for one that trades in 99 of 100 bars the answer was incomplete. With
too little known, nothing is plausible.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backfill.domain.intervals import Interval, intersection, total_ms, union

# Known bars needed beside the judged ones.
FEWEST_BARS = 1000
# Judged together: few beside FEWEST_BARS, or a page, since pages go wrong.
BLOCK_BARS = (100, 1000)
FEWEST_BLOCKS = 4
# Expected number in the series below which a silence is improbable.
IMPROBABLE = 0.01
MAX_DEVIATIONS = 6
# By Zipf's law one series in ten has a longest run 10 times the next.
RECORD_TIMES, FEWEST_RUNS = 10, 3
# Up to this length all shorter runs are evidence.
SHORT_RUN = 4

Numbers = NDArray[np.int64]


class _Stretch(NamedTuple):
    """Counts of a span. ``runs`` and ``longest`` are of silent bars.

    ``incident``: silent bars in and near the longest run, judged separately.
    """

    bars: int
    silent: int
    runs: int
    longest: int = 0
    incident: int = 0


def plausible(
    judged: Sequence[Interval], held: Sequence[Interval], silent: Sequence[Interval], step_ms: int
) -> list[Interval]:
    """The part of ``judged`` (silent bars) not improbable beside the rest of the series."""
    if not judged:
        return []
    known, silent = union([*held, *silent, *judged]), union([*silent, *judged])
    believed = list(judged)
    for block_bars in BLOCK_BARS:
        if block_bars == BLOCK_BARS[0] or total_ms(known) >= FEWEST_BLOCKS * block_bars * step_ms:
            series = _Series(known, silent, step_ms, block_bars)
            blocks = [block for block in series.blocks(judged) if _is_plausible(series, block, block_bars)]
            believed = intersection(believed, blocks)
    return believed


def longest_plausible_run(
    held: Sequence[Interval], silent: Sequence[Interval], step_ms: int, fewest_bars: int = FEWEST_BARS
) -> int | None:
    """The longest plausible silent run, in bars; None: too little is known."""
    runs = _Edges(union(silent))
    held_bars = total_ms(held) // step_ms
    if held_bars + runs.total // step_ms < fewest_bars:
        return None
    lengths = (runs.ends - runs.starts) // step_ms
    usual = lengths[np.isin(lengths, list(_usual_lengths(lengths, held_bars)))]
    seen = _Stretch(held_bars + int(usual.sum()), int(usual.sum()), len(usual), int(usual.max(initial=0)))
    begins, goes_on = _rates(seen)
    by_rates = 1 + math.floor((math.log(IMPROBABLE) - math.log((seen.bars + 1) * begins)) / math.log(goes_on))
    return max(1, by_rates, _times(seen) * seen.longest)


def _is_plausible(series: _Series, block: Interval, block_bars: int) -> bool:
    mine, rest = series.apart(block)
    return (
        rest.bars >= FEWEST_BARS
        and (series.is_calm(mine) or _is_plausible_count(mine, *series.calmer_blocks(mine, rest), block_bars))
        and mine.longest in series.usual_lengths
    )


def _is_plausible_run(length: int, shorter: _Stretch) -> bool:
    """Not much longer than shorter ones, or likely at their rates."""
    if length <= _times(shorter) * shorter.longest:
        return True
    begins, goes_on = _rates(shorter)
    expected = math.log((shorter.bars + 1) * begins) + (length - 1) * math.log(goes_on)
    return expected >= math.log(IMPROBABLE)


def _times(shorter: _Stretch) -> int:
    return RECORD_TIMES if shorter.runs >= FEWEST_RUNS else 2


def _rates(rest: _Stretch) -> tuple[float, float]:
    """Probabilities that a silent run begins at a bar, and that it continues."""
    rate = (rest.silent + 1) / (rest.bars + 2)
    return (rest.runs + 1) / (rest.bars + 2), (rest.silent - rest.runs + rate) / (rest.silent + 1)


def _is_plausible_count(mine: _Stretch, calmer: Numbers, blocks: float, block_bars: int) -> bool:
    """As many silent bars as in calmer blocks, within chance and the blocks' variance."""
    size = max(1.0, mine.bars / block_bars)
    mean = (float(calmer.sum()) + 1) / blocks
    variance = max(mean, float((calmer**2).sum()) / blocks - mean**2)
    return mine.silent - mine.incident <= max(1.0, mean * size + MAX_DEVIATIONS * math.sqrt(variance * size))


def _usual_lengths(lengths: Numbers, held: int) -> set[int]:
    """The lengths of silent runs that shorter ones make plausible.

    Runs of at least half the length do not count: one cause may have made both.
    """
    usual: dict[int, int] = {}
    for length, runs in zip(*(column.tolist() for column in np.unique(lengths, return_counts=True)), strict=True):
        shorter = {n: k for n, k in usual.items() if n < (length if length <= SHORT_RUN else length / 2)}
        silent = sum(n * k for n, k in shorter.items())
        if _is_plausible_run(length, _Stretch(held + silent, silent, sum(shorter.values()), max(shorter, default=0))):
            usual[length] = runs
    return set(usual)


class _Series:
    def __init__(self, known: Sequence[Interval], silent: Sequence[Interval], step_ms: int, block_bars: int) -> None:
        self._step_ms = step_ms
        self._size_ms = block_bars * step_ms
        self._known, self._silent = _Edges(known), _Edges(silent)
        self._runs = silent
        self._lengths = (self._silent.ends - self._silent.starts) // step_ms
        self.usual_lengths = _usual_lengths(self._lengths, (self._known.total - self._silent.total) // step_ms)
        first = int(self._silent.starts[0]) // self._size_ms
        past = -(-int(self._silent.ends[-1]) // self._size_ms)
        edges = np.arange(first, past + 1, dtype=np.int64) * self._size_ms
        counts = np.diff(self._silent.before(edges)) // step_ms
        self._counts = np.sort(counts[counts > 0])

    def blocks(self, judged: Sequence[Interval]) -> list[Interval]:
        """Blocks with judged bars, joined by runs that cross their edges."""
        size_ms = self._size_ms
        joined: list[Interval] = []
        for start, end in intersection(self._whole_runs(judged), self._runs):
            block = Interval(start - start % size_ms, end + -end % size_ms)
            if joined and block.start < joined[-1].end:
                block = Interval(joined[-1].start, max(block.end, joined.pop().end))
            joined.append(block)
        return joined

    def apart(self, block: Interval) -> tuple[_Stretch, _Stretch]:
        """Counts inside a block and outside."""
        edges = np.array(block, dtype=np.int64)
        bars = int(np.diff(self._known.before(edges))[0]) // self._step_ms
        silent = int(np.diff(self._silent.before(edges))[0]) // self._step_ms
        low, high = (int(n) for n in np.searchsorted(self._silent.starts, edges))
        longest = low + int(np.argmax(self._lengths[low:high]))
        length_ms = int(self._silent.ends[longest] - self._silent.starts[longest])
        near = np.array([self._silent.starts[longest] - length_ms, self._silent.ends[longest] + length_ms])
        incident = int(np.diff(self._silent.before(np.clip(near, *edges)))[0]) // self._step_ms
        mine = _Stretch(bars, silent, high - low, int(self._lengths[longest]), incident)
        rest = _Stretch(
            self._known.total // self._step_ms - bars,
            self._silent.total // self._step_ms - silent,
            len(self._lengths) - (high - low),
        )
        return mine, rest

    def is_calm(self, mine: _Stretch) -> bool:
        """Whether most blocks have at least as much silence."""
        blocks = max(self._known.total // self._size_ms, len(self._counts))
        place = blocks // 2 - (blocks - len(self._counts))
        return place >= 0 and mine.silent * self._size_ms <= self._counts[place] * max(
            self._size_ms, mine.bars * self._step_ms
        )

    def calmer_blocks(self, mine: _Stretch, rest: _Stretch) -> tuple[Numbers, float]:
        """Silent bars of blocks with fewer (but some); the number of these and empty ones."""
        size = max(1.0, mine.bars * self._step_ms / self._size_ms)
        calmer = self._counts[: int(np.searchsorted(self._counts, mine.silent / size))]
        others = rest.bars * self._step_ms / self._size_ms - (len(self._counts) - len(calmer)) + 1
        return calmer, max(1.0, float(others), float(len(calmer)))

    def _whole_runs(self, judged: Sequence[Interval]) -> list[Interval]:
        starts = np.array([start for start, _ in judged], dtype=np.int64)
        ends = np.array([end for _, end in judged], dtype=np.int64)
        following = np.minimum(np.searchsorted(ends, self._silent.starts, side="right"), len(starts) - 1)
        touched = (starts[following] < self._silent.ends) & (ends[following] > self._silent.starts)
        return [run for run, is_judged in zip(self._runs, touched, strict=True) if is_judged]


class _Edges:
    def __init__(self, intervals: Sequence[Interval]) -> None:
        self.starts: Numbers = np.array([start for start, _ in intervals], dtype=np.int64)
        self.ends: Numbers = np.array([end for _, end in intervals], dtype=np.int64)
        self._lengths_before: Numbers = np.concatenate(([0], np.cumsum(self.ends - self.starts)))

    @property
    def total(self) -> int:
        return int(self._lengths_before[-1])

    def before(self, times_ms: Numbers) -> Numbers:
        """Covered ms before each of these times."""
        begun = np.searchsorted(self.starts, times_ms, side="left")
        last = np.maximum(begun - 1, 0)
        cut = np.where(begun > 0, np.maximum(0, self.ends[last] - times_ms), 0)
        return np.asarray(self._lengths_before[begun] - cut, dtype=np.int64)
