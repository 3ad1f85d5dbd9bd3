"""Refresh a primary source's market list and log changes.

Instruments leave the list without notice (Blofin's documentation lists only open contracts), so descriptions stay, and
the log has when one left or returned. See docs/decisions/0020-retention-listing-readiness.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from backfill.domain.markets import Market
from backfill.domain.price_kinds import contract_of
from backfill.domain.symbols import (
    Instrument,
    InstrumentDescription,
    Refusal,
    described,
    find_listing,
    named_markets,
    readings,
)
from backfill.domain.venues import Venue
from backfill.storage.candle_store import CandleStore
from backfill.storage.instruments import InstrumentChange

# Markets of a source, by its name. Raises an :class:`ExchangeError`.
AskForMarkets = Callable[[str], Sequence[Market]]


def refresh_instruments(
    store: CandleStore,
    ask: AskForMarkets,
    venue: Venue,
    wished: Mapping[str, bool],
    *,
    keep_all: bool,
    leave: Collection[str] = (),
) -> None:
    """Record what ``venue`` lists, and which described or ``wished`` instruments it lacks.

    ``wished``: symbols it supplies as primary, and whether spot may stand in. ``keep_all``: also record other listings,
    under its own names, without those to ``leave`` to other sources.
    """
    asked_at = store.now()
    asked = ask(venue.source) if venue.market_named is None else _named(venue, wished)
    markets = [market for market in asked if market.is_readable]
    unreadable = {market.venue_symbol for market in asked if not market.is_readable}
    described_all = _described(venue, markets, wished, keep_all=keep_all)
    rows = {one.symbol: one for one in described_all if one.symbol not in leave}
    instruments = store.instruments
    with instruments.one_refresh_at_a_time():
        last_id = instruments.last_log_id()
        instruments.describe(store.source_id(venue.source), list(rows.values()), set(wished), asked_at, unreadable)
        if renamed := _renamed(instruments.logged_after(last_id)):
            instruments.log_renamed(renamed)


def _described(
    venue: Venue, markets: Sequence[Market], wished: Mapping[str, bool], *, keep_all: bool
) -> Iterator[InstrumentDescription]:
    by_symbol = {market.venue_symbol: market for market in markets}
    if keep_all:
        for market in markets:
            if venue.names_are_ours or (market.is_swap and market.is_linear and market.settle == market.quote):
                symbol = market.venue_symbol if venue.names_are_ours else f"{market.base}-{market.quote}"
                yield described(symbol, market)
    for symbol, spot_proxy in wished.items():
        if venue.names_are_ours:
            if contract_of(symbol) in by_symbol:
                yield described(symbol, by_symbol[contract_of(symbol)])
            continue
        of_name = named_markets(symbol, venue)
        candidates = markets if of_name is None else of_name
        listing = find_listing(Instrument.named(symbol), venue, candidates, spot_proxy=spot_proxy)
        if not isinstance(listing, Refusal):
            yield described(symbol, by_symbol[listing.venue_symbol], listing.price_scale)


def _named(venue: Venue, wished: Mapping[str, bool]) -> list[Market]:
    """The markets of ``wished`` at a venue that needs no list."""
    return [market for symbol in wished for market in named_markets(symbol, venue) or ()]


def _renamed(changes: Sequence[InstrumentChange]) -> list[tuple[str, str]]:
    """Pairs where one scale of a coin replaced another, as 1000BONK-USDT: sources report no renames."""
    gone = [change.instrument for change in changes if change.what == "delisted"]
    come = [change.instrument for change in changes if change.what in ("listed", "relisted")]
    pairs = [(old, new) for old in gone for new in come if _is_rescaled(old, new)]
    return [
        (old, new)
        for old, new in pairs
        if sum(old == other for other, _ in pairs) == 1 and sum(new == other for _, other in pairs) == 1
    ]


def _is_rescaled(old: str, new: str) -> bool:
    (base, _, quote), (new_base, _, new_quote) = old.partition("-"), new.partition("-")
    return quote == new_quote and not readings(base).keys().isdisjoint(readings(new_base))
