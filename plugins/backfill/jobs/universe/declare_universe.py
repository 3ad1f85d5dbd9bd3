"""Write the universe file to Postgres: the wanted series."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from backfill.config.source_names import has_kind
from backfill.config.universe_file import declared_series
from backfill.config.universe_model import SeriesWish, Universe
from backfill.domain.markets import Market
from backfill.domain.price_kinds import TRADE, kind_of
from backfill.domain.venues import Venue, known_venue, venue
from backfill.errors import ExchangeError
from backfill.jobs.universe.close_markets import close_markets
from backfill.jobs.universe.refresh_instruments import AskForMarkets, refresh_instruments
from backfill.sources.runtime import Runtime
from backfill.sources.venue_markets import load_markets
from backfill.storage.candle_store import CandleStore
from backfill.storage.instruments import KnownInstrument
from backfill.storage.wishes import SeriesKey

log = logging.getLogger(__name__)

# Listings change a few times a week.
INSTRUMENTS_LIVE_S = 24 * 3600
MAX_NAMED = 8

Check = Callable[[Sequence[SeriesWish]], object]


@dataclass(frozen=True)
class Declaration:
    """The universe compared with Postgres. ``wishes``: all of the universe's.

    ``added``, ``changed``: wishes that Postgres lacks or has on other terms. ``undeclared``: series only in Postgres;
    ``unlisted``: those delisted under `instruments: all`, which need no confirmation.
    """

    wishes: list[SeriesWish]
    added: list[SeriesWish]
    changed: list[SeriesWish]
    undeclared: set[SeriesKey]
    unlisted: set[SeriesKey]


def declare(
    runtime: Runtime,
    *,
    ask: bool = True,
    ask_anyway: bool = False,
    drop: bool | None = None,
    check: Check = lambda _: None,
) -> list[SeriesWish]:
    """:func:`declare_universe` with ``runtime``; without ``ask`` no source is asked.

    ``drop`` None: as BACKFILL_DROP_SERIES says.
    """
    return declare_universe(
        runtime.store,
        runtime.universe,
        _asking(runtime) if ask else None,
        check,
        ask_anyway=ask_anyway,
        drop=runtime.settings.drop_series if drop is None else drop,
        lookback_hours=runtime.settings.lookback_hours,
    )


def compare_universe(runtime: Runtime) -> Declaration:
    """What :func:`declare` would change. May refresh listings, but writes no wishes."""
    wishes = _wishes_of(
        runtime.store,
        runtime.universe,
        _asking(runtime),
        lambda _: None,
        lookback_hours=runtime.settings.lookback_hours,
    )
    return _compared(runtime.store, runtime.universe, wishes)


def write_declaration(store: CandleStore, declaration: Declaration, *, drop: bool) -> None:
    """Write the wishes; without ``drop``, undeclared listed series stay wanted, with a warning."""
    dropped = declaration.undeclared if drop else declaration.unlisted
    close_markets(store, declaration.wishes)
    store.wishes.declare(declaration.wishes, store.source_id, dropped)
    if kept := declaration.undeclared - dropped:
        log.warning(
            "%d series that Postgres wants are not in the universe (%s) and stay wanted: `backfill declare` shows and "
            "drops them",
            len(kept),
            named(kept),
        )


def declare_universe(
    store: CandleStore,
    universe: Universe,
    ask: AskForMarkets | None = None,
    check: Check = lambda _: None,
    *,
    ask_anyway: bool = False,
    drop: bool = False,
    lookback_hours: int | None = None,
) -> list[SeriesWish]:
    """Write the universe's wishes to Postgres and return them.

    ``ask`` is called for a primary source whose descriptions are a day old, lack an instrument or were contradicted;
    None: no source is asked. If it fails, old descriptions serve, unless `instruments: all` has no live one.
    ``ask_anyway``: always call it, and raise its error. ``check`` sees wishes before they are written, those of a file
    before any source is asked. ``drop``: see :func:`write_declaration`.
    """
    wishes = _wishes_of(store, universe, ask, check, ask_anyway=ask_anyway, lookback_hours=lookback_hours)
    write_declaration(store, _compared(store, universe, wishes), drop=drop)
    return wishes


def named(series: Collection[SeriesKey]) -> str:
    """A few of the series by name."""
    names = [f"{symbol} {timeframe}" for symbol, timeframe in sorted(series)]
    return ", ".join(names[:MAX_NAMED]) + (f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else "")


def _asking(runtime: Runtime) -> AskForMarkets:
    def ask_for_markets(source: str) -> Sequence[Market]:
        return load_markets(runtime.store, runtime.new_client(source), runtime.store.source_id(source))

    return ask_for_markets


def _wishes_of(
    store: CandleStore,
    universe: Universe,
    ask: AskForMarkets | None,
    check: Check,
    *,
    ask_anyway: bool = False,
    lookback_hours: int | None = None,
) -> list[SeriesWish]:
    refresh = _Refresh(store, ask, ask_anyway=ask_anyway)
    if universe.instruments is None:
        wishes = _wishes_of_all(refresh, universe, lookback_hours)
        check(wishes)
    else:
        wishes = declared_series(universe, lookback_hours)
        check(wishes)
        refresh.from_primaries(wishes, main=universe.sources[0])
    return [replace(wish, sources=tuple(_sources_that_have_it(wish))) for wish in wishes]


def _compared(store: CandleStore, universe: Universe, wishes: list[SeriesWish]) -> Declaration:
    wanted = store.wishes.wanted()
    declared = {(wish.symbol, wish.timeframe): wish for wish in wishes}
    undeclared = wanted.keys() - declared.keys()
    return Declaration(
        wishes=wishes,
        added=[wish for key, wish in declared.items() if key not in wanted],
        changed=[wish for key, wish in declared.items() if key in wanted and wanted[key] != wish],
        undeclared=undeclared,
        unlisted=_no_longer_listed(store, universe, undeclared),
    )


def _wishes_of_all(refresh: _Refresh, universe: Universe, lookback_hours: int | None) -> list[SeriesWish]:
    main = universe.sources[0]
    failure = refresh.from_source(main, {}, keep_all=True)
    listed = sorted(
        symbol
        for symbol, known in refresh.known().items()
        if known.is_live_usdt_perpetual
        and kind_of(symbol) == TRADE
        and known.described_by == refresh.store.source_id(main)
    )
    if failure and not listed:
        raise failure
    wishes = declared_series(universe, lookback_hours, listed or None)
    refresh.from_primaries([wish for wish in wishes if wish.sources[0] != main], main=None)
    return wishes


class _Refresh:
    """Asks primary sources for their listings when due."""

    def __init__(self, store: CandleStore, ask: AskForMarkets | None, *, ask_anyway: bool) -> None:
        self.store = store
        self._ask = ask
        self._ask_anyway = ask_anyway

    def known(self) -> dict[str, KnownInstrument]:
        """Known instruments by symbol."""
        return self.store.instruments.known()

    def from_primaries(self, wishes: Sequence[SeriesWish], *, main: str | None) -> None:
        """Refresh each primary; record all that ``main`` lists."""
        wished: dict[str, dict[str, bool]] = {}
        seen: set[str] = set()
        for wish in wishes:
            if wish.symbol not in seen:  # its finest series' primary describes it
                seen.add(wish.symbol)
                wished.setdefault(wish.sources[0], {})[wish.symbol] = wish.spot_proxy
        for source, symbols in wished.items():
            keep_all = source == main and venue(source).names_are_ours
            self.from_source(source, symbols, keep_all=keep_all, leave=seen - symbols.keys())

    def from_source(
        self, source: str, wished: Mapping[str, bool], *, keep_all: bool, leave: Collection[str] = ()
    ) -> ExchangeError | None:
        """Ask if due; return its error if old descriptions must serve."""
        if self._ask is None or not (self._ask_anyway or self._is_due(source, wished)):
            return None
        try:
            refresh_instruments(self.store, self._ask, venue(source), wished, keep_all=keep_all, leave=leave)
        except ExchangeError as error:
            if self._ask_anyway:
                raise
            log.warning("listings stay as they are: %s", error)
            return error
        return None

    def _is_due(self, source: str, wished: Mapping[str, bool]) -> bool:
        source_id, known = self.store.source_id(source), self.known()
        symbols = list(wished) or [symbol for symbol, one in known.items() if one.described_by == source_id]
        return (
            not symbols
            or any(not _is_fresh(known.get(symbol), source_id) for symbol in symbols)
            or self.store.instruments.is_list_doubted(source_id)
        )


def _is_fresh(known: KnownInstrument | None, source_id: int) -> bool:
    return (
        known is not None
        and known.described_by == source_id
        and known.age_s is not None
        and known.age_s <= INSTRUMENTS_LIVE_S
    )


def _no_longer_listed(store: CandleStore, universe: Universe, undeclared: set[SeriesKey]) -> set[SeriesKey]:
    if universe.instruments is not None or not undeclared:
        return set()
    known = store.instruments.known()
    return {(symbol, timeframe) for symbol, timeframe in undeclared if known[symbol].state != "live"}


def _sources_that_have_it(wish: SeriesWish) -> list[str]:
    """Others that never answer for the timeframe would keep gaps open."""
    primary, *others = wish.sources
    kind = kind_of(wish.symbol)
    return [primary, *(name for name in others if _serves(name, wish.timeframe) and has_kind(name, kind))]


def _serves(name: str, timeframe: str) -> bool:
    """Without importing ccxt for a name not in the table."""
    return (known_venue(name) or Venue(source=name, ccxt_id=name)).serves(timeframe)
