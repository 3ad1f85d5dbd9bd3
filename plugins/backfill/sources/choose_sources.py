"""Choose healthy sources with a usable listing for a series, best first."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Sequence

from backfill.domain.price_kinds import kind_of
from backfill.domain.symbols import Refusal
from backfill.domain.venues import venue
from backfill.errors import ExchangeError, SourceSkipped, SymbolNotListed
from backfill.sources.candle_source import CandleSource
from backfill.sources.listing_proof import ListingProver
from backfill.sources.runtime import Runtime
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import SeriesWindow
from backfill.storage.source_health import SourceHealth


def sources_of(
    runtime: Runtime,
    store: CandleStore,
    window: SeriesWindow,
    run: str,
    only: Sequence[str] | None = None,
    leave_out: Collection[str] = (),
) -> Generator[CandleSource | ExchangeError, None, None]:
    """The sources of ``window``, or of ``only``, in order; an error for one that cannot be asked.

    Each is prepared when needed. A caller that stops early must close the generator, to release the current source.
    """
    health = store.health(run)
    allowed = store.source_names(window.source_ids)
    for name in allowed if only is None else only:
        if name in leave_out:
            continue
        if name not in allowed:
            yield SymbolNotListed(name, window.symbol, "the universe does not name this source for it")
            continue
        if not venue(name).serves(window.timeframe) or not venue(name).has_kind(kind_of(window.symbol)):
            continue
        source_id = store.source_id(name)
        if not health.may_ask(source_id):
            yield SourceSkipped(name, "skipped, since it has failed again and again; the next run probes it")
            continue
        try:
            yield from _with_a_listing(runtime, store, window, name, allowed, health)
        finally:
            health.release_probe(source_id)


def _with_a_listing(
    runtime: Runtime,
    store: CandleStore,
    window: SeriesWindow,
    name: str,
    allowed: Sequence[str],
    health: SourceHealth,
) -> Iterator[CandleSource | ExchangeError]:
    others = [venue(other) for other in allowed[1:] if other != name]
    try:
        found = ListingProver(runtime, store, window, health).proved(venue(name), others)
    except ExchangeError as error:
        yield error
        return
    if isinstance(found, Refusal):
        yield SymbolNotListed(name, window.symbol, found.reason)
        return
    asked = venue(name).of_kind(kind_of(window.symbol))
    source = runtime.candle_source(
        asked,
        found.listing,
        found.market,
        window.timeframe,
        stands_in=name != allowed[0],
        splits=window.splits,
    )
    try:
        yield source
    finally:
        source.close()
