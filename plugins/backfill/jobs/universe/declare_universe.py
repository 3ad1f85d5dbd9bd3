"""Carry the universe file over into Postgres: which series are wanted, how far back, from whom."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from psycopg.types.json import Jsonb

from backfill.config.settings import Settings
from backfill.config.universe_file import SeriesWish, declared_series
from backfill.domain.venues import VENUES, Venue
from backfill.errors import ExchangeError
from backfill.exchanges.blofin_client import SOURCE as BLOFIN
from backfill.jobs.universe.refresh_instruments import Instruments, refresh_instruments
from backfill.sources.runtime import Runtime
from backfill.storage.candle_store import CandleStore, utc
from backfill.storage.database import fetch_one, translated_errors
from backfill.storage.named_queries import query

log = logging.getLogger(__name__)

# Listings change a few times a week; the home exchange is asked for them once a day.
INSTRUMENTS_LIVE_S = 24 * 3600


def declare_universe(
    store: CandleStore,
    settings: Settings,
    instruments: Instruments | None = None,
    check: Callable[[Sequence[SeriesWish]], object] = lambda _: None,
    *,
    ask_anyway: bool = False,
) -> list[SeriesWish]:
    """Make the database's wish list the file's; give the wishes.

    ``instruments`` is asked when the descriptions are a day old, one is missing, or the exchange has since denied to
    know an instrument of them; None asks nobody. If it fails the old ones serve, except for ``instruments: all`` where
    none is known to be live: there is nothing to go by.
    With ``ask_anyway`` it is asked however young they are, and its failure is the caller's.
    ``check`` sees the wishes before they are written; those that the file names, before anybody is asked.
    """
    known = _known_instruments(store)
    wishes = None if _needs_listing(settings) else declared_series(settings)
    if wishes is not None:
        check(wishes)
    symbols = {wish.symbol for wish in wishes} if wishes is not None else set(known)
    failure: ExchangeError | None = None
    if instruments is not None and (ask_anyway or _is_due(known, symbols) or _is_doubted(store)):
        try:
            refresh_instruments(store, instruments, symbols)
        except ExchangeError as error:
            if ask_anyway:
                raise
            log.warning("listings stay as they are: %s", error)
            failure = error
        known = _known_instruments(store)
    if wishes is None:
        listed = sorted(symbol for symbol, known_as in known.items() if _is_live_usdt_perpetual(known_as))
        if failure and not listed:
            raise failure
        wishes = declared_series(settings, listed or None)
        check(wishes)
    _declare(store, wishes)
    return wishes


def declare(
    runtime: Runtime,
    *,
    ask: bool = True,
    ask_anyway: bool = False,
    check: Callable[[Sequence[SeriesWish]], object] = lambda _: None,
) -> list[SeriesWish]:
    """:func:`declare_universe` with what ``runtime`` has open; without ``ask`` no exchange is asked."""
    instruments = runtime.instruments if ask else None
    return declare_universe(runtime.store, runtime.settings, instruments, check, ask_anyway=ask_anyway)


def _needs_listing(settings: Settings) -> bool:
    from backfill.config.universe_file import load_universe

    return load_universe(settings.universe, settings.profile).instruments is None


def _known_instruments(store: CandleStore) -> dict[str, dict[str, Any]]:
    names = ("contract_type", "settle_currency", "quote_currency", "state", "age_s")
    with translated_errors():
        rows = store.connection.execute(query("instruments/select_instruments")).fetchall()
    return {str(row[0]): dict(zip(names, row[1:], strict=True)) for row in rows}


def _is_due(known: Mapping[str, Mapping[str, Any]], symbols: set[str]) -> bool:
    ages_s = [known[symbol]["age_s"] if symbol in known else None for symbol in symbols]
    return not ages_s or any(age_s is None or age_s > INSTRUMENTS_LIVE_S for age_s in ages_s)


def _is_doubted(store: CandleStore) -> bool:
    with translated_errors():
        return bool(
            fetch_one(
                store.connection, query("instruments/is_listing_doubted"), {"source_id": store.source_id(BLOFIN)}
            )[0]
        )


def _is_live_usdt_perpetual(instrument: Mapping[str, Any]) -> bool:
    settled_in = instrument["settle_currency"] or instrument["quote_currency"]
    return (instrument["contract_type"], instrument["state"], settled_in) == ("linear", "live", "USDT")


def _declare(store: CandleStore, wishes: Sequence[SeriesWish]) -> None:
    rows = [
        {
            "symbol": wish.symbol,
            "timeframe": wish.timeframe,
            "history_ms": wish.history_ms,
            "since": None if wish.since_ms is None else utc(wish.since_ms).isoformat(),
            "until": None if wish.until_ms is None else utc(wish.until_ms).isoformat(),
            "retention_ms": wish.retention_ms,
            "spot_proxy": wish.spot_proxy,
            "objective_pct": wish.objective_pct,
            "ready_bars": wish.ready_bars,
            "roll_up": wish.roll_up,
            "source_ids": [store.source_id(name) for name in _sources_that_have_it(wish)],
        }
        for wish in wishes
    ]
    with translated_errors(), store.connection.transaction():
        store.connection.execute(query("series/declare_series"), {"wishes": Jsonb(rows)})


def _sources_that_have_it(wish: SeriesWish) -> list[str]:
    """The home, and those others that have the timeframe: who can never answer would keep every gap open for ever."""
    home, *others = wish.sources
    return [home, *(name for name in others if name == BLOFIN or _ways_of(name).serves(wish.timeframe))]


def _ways_of(name: str) -> Venue:
    """As :func:`venue`, without importing ccxt for a name that is not in the table: the universe has checked it."""
    return VENUES.get(name) or Venue(source=name, ccxt_id=name)
