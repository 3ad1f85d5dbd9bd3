"""Carry over the candles of a former name, if the bars of both names prove one instrument.

See docs/decisions/0040-history-over-a-rename.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from backfill.domain.intervals import Interval, intersection, total_ms
from backfill.domain.price_kinds import kind_of
from backfill.domain.renames import RenameProof, at_scale, divisor_between, prove_rename
from backfill.domain.timeframes import timeframe
from backfill.errors import ConfigurationError, DecisionRefused, UnknownSymbol
from backfill.storage.candle_store import CandleStore
from backfill.storage.candles_by_hand import writable_series
from backfill.storage.renames import Evidence, Kept, Renames
from backfill.storage.series import SeriesWindow

if TYPE_CHECKING:
    import pandas as pd

# Other sources' bars under the new name before a time, or why there are none.
AskOthers = Callable[[SeriesWindow, int], "Iterator[tuple[str, pd.DataFrame | str]]"]

# Of a longer overlap the oldest bars, next to the history, are compared.
MOST_BARS_COMPARED = 10_000


class Pair(NamedTuple):
    """One timeframe under both names, and the result of comparing them."""

    old: SeriesWindow
    new: SeriesWindow
    part: list[Interval]
    proof: RenameProof

    @property
    def candles(self) -> int:
        """Bars that would be carried over."""
        return total_ms(self.part) // timeframe(self.old.timeframe).step_ms


class Rename:
    """What a rename carries over, and its proof; :class:`DecisionRefused` if unproved.

    ``others`` are asked if the list lacks the old name and both have too few common bars.
    """

    def __init__(self, store: CandleStore, old: str, new: str, settle_ms: int, others: AskOthers | None = None) -> None:
        self.old, self.new = old, new
        self._others = others
        self._renames = Renames(store)
        self._store = store
        windows = _series_of(store, old, new, settle_ms)
        self.divisor = _divisor(store, old, new)
        self.pairs = [self._judged(*both) for both in windows]
        self._evidence = self._proved()

    def apply(self) -> dict[str, int]:
        """Carry over, a transaction per series; return bars by timeframe. Raises :class:`SeriesBusy`."""
        carried: dict[str, int] = {}
        for pair in self.pairs:
            if not pair.part:
                continue
            with self._renames.alone(pair.old, pair.new):
                # Runs may have stored more bars since the proof.
                if part := _part(*self._renames.kept(pair.old, pair.new), pair.new):
                    span = Interval(part[0].start, part[-1].end)
                    bars = self._renames.carry(pair.old, pair.new, span, self.divisor, self._evidence)
                    carried[pair.old.timeframe] = bars
        return carried

    def _judged(self, old: SeriesWindow, new: SeriesWindow) -> Pair:
        kept_old, kept_new = self._renames.kept(old, new)
        step_ms = timeframe(old.timeframe).step_ms
        # What was carried over before is no evidence.
        own_from_ms = kept_new.carried[-1].end if kept_new.carried else new.start_ms
        own = intersection(kept_new.held, [Interval(own_from_ms, new.end_ms)])
        if common := intersection(kept_old.held, own):
            span = Interval(common[0].start, min(common[-1].end, common[0].start + MOST_BARS_COMPARED * step_ms))
            stored = at_scale(self._store.candles(old.series_id, span), self.divisor)
            proof = prove_rename(stored, self._store.candles(new.series_id, span), step_ms=step_ms)
        else:
            proof = RenameProof(0, 0, None, "no bar in common")
        return Pair(old, new, _part(kept_old, kept_new, new), proof)

    def _proved(self) -> Evidence:
        """The proof of most common bars; one timeframe that contradicts refuses."""
        best = max(self.pairs, key=lambda pair: (pair.proof.ok is True, pair.proof.common_bars))
        is_contradicted = any(pair.proof.ok is False for pair in self.pairs)
        figures = [f"{pair.old.timeframe}: {pair.proof.reason}" for pair in self.pairs]
        proof, proved_by = best.proof, best.old.timeframe
        if not (proof.ok or is_contradicted) and best.old.state == "unlisted":
            for proved_by, proof in self._said_elsewhere():
                figures.append(f"{proved_by}: {proof.reason}")
                if proof.ok is not None:
                    break
        if not proof.ok or is_contradicted:
            raise DecisionRefused(f"carry the history of {self.old} over to {self.new}, which is not proved", figures)
        scale = "" if self.divisor == 1 else f", prices divided by {self.divisor:g}"
        return Evidence(proved_by, proof.common_bars, proof.agreeing_bars, f"{proved_by}: {proof.reason}{scale}")

    def _said_elsewhere(self) -> Iterator[tuple[str, RenameProof]]:
        """The old name's last bars beside other sources' under the new one."""
        if self._others is None:
            return
        for pair in self.pairs:
            held = self._renames.kept(pair.old, pair.new)[0].held
            if not held:
                continue
            for source, bars in self._others(pair.new, held[-1].end):
                proof = RenameProof(0, 0, None, bars if isinstance(bars, str) else "no bar in common")
                if not isinstance(bars, str) and len(bars):
                    span = Interval(int(bars["open_ms"].min()), max(int(bars["open_ms"].min()), held[-1].end))
                    stored = at_scale(self._store.candles(pair.old.series_id, span), self.divisor)
                    proof = prove_rename(stored, bars, step_ms=timeframe(pair.old.timeframe).step_ms)
                yield f"{pair.old.timeframe} of {source}", proof


def _part(old: Kept, new: Kept, window: SeriesWindow) -> list[Interval]:
    """The old name's bars before the new one's, as far back as retention keeps them."""
    if not new.held:
        return []
    return intersection(old.held, [Interval(window.start_ms, max(window.start_ms, new.held[0].start))])


def _series_of(store: CandleStore, old: str, new: str, settle_ms: int) -> Iterator[tuple[SeriesWindow, SeriesWindow]]:
    """The timeframes that both names are kept in."""
    kept: dict[str, dict[str, SeriesWindow]] = {}
    for window in writable_series(store, settle_ms):
        kept.setdefault(window.symbol, {})[window.timeframe] = window
    for symbol in (old, new):
        if symbol not in kept:
            raise UnknownSymbol(symbol, list(kept))
    if old == new or kind_of(old) != kind_of(new):
        raise ConfigurationError(f"{old} and {new} are no two names of one thing")
    both = [(kept[old][name], kept[new][name]) for name in kept[old] if name in kept[new]]
    if not both:
        raise ConfigurationError(f"{new} is kept in no timeframe of {old} ({', '.join(kept[old])}): declare one first")
    return iter(both)


def _divisor(store: CandleStore, old: str, new: str) -> float:
    one, other = store.instruments.identity(old), store.instruments.identity(new)
    if (one.quote, one.is_linear) != (other.quote, other.is_linear):
        raise ConfigurationError(
            f"{old} is in {one.quote}, {new} in {other.quote}: no rename changes what a coin costs in"
        )
    return divisor_between(one.base, other.base)
