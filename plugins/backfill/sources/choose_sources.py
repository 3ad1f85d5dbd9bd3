"""Who may be asked for a series now, best first: sources that are well, and whose listing is proved."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

from backfill.domain.symbols import Refusal
from backfill.domain.timeframes import timeframe
from backfill.domain.venues import venue
from backfill.errors import ExchangeError, SourceSkipped, SymbolNotListed
from backfill.exchanges.blofin_client import SOURCE as BLOFIN
from backfill.sources.candle_source import CandleSource
from backfill.sources.ccxt_source import CcxtSource
from backfill.sources.listing_proof import ListingProver
from backfill.sources.runtime import Runtime
from backfill.storage.candle_store import CandleStore, SeriesWindow
from backfill.storage.source_health import SourceHealth


def sources_of(
    runtime: Runtime,
    store: CandleStore,
    window: SeriesWindow,
    run: str,
    only: Sequence[str] | None = None,
    leave_out: Sequence[str] = (),
) -> Generator[CandleSource | ExchangeError, None, None]:
    """The sources of ``window`` in the universe's order, or just those of ``only``; for one that cannot be asked, why.

    Each is looked at only when the one before has left something, so a source nobody needs costs nothing. Whoever stops
    early closes the generator: it gives back what it holds of the source before.
    """
    health = SourceHealth(store.connection, run)
    allowed = store.source_names(window.source_ids)
    for name in allowed if only is None else only:
        if name in leave_out:
            continue
        if name not in allowed:
            yield SymbolNotListed(name, window.symbol, "the universe does not name this source for it")
            continue
        if name != BLOFIN and not venue(name).serves(window.timeframe):
            continue
        source_id = store.source_id(name)
        if not health.may_ask(source_id):
            yield SourceSkipped(name, "skipped, since it has failed again and again; the next run probes it")
            continue
        try:
            if name == BLOFIN:
                yield runtime.new_blofin_source()
            else:
                yield from _through_ccxt(runtime, store, window, name, allowed, health)
        finally:
            health.let_go(source_id)


def _through_ccxt(
    runtime: Runtime,
    store: CandleStore,
    window: SeriesWindow,
    name: str,
    allowed: Sequence[str],
    health: SourceHealth,
) -> Iterator[CandleSource | ExchangeError]:
    """The venue with its proved listing, or why it has none for this instrument."""
    prover = ListingProver(store, window, runtime.new_ccxt_client, health, spot_proxy=window.spot_proxy)
    others = [venue(other) for other in allowed if other not in (name, BLOFIN)]
    try:
        proved = prover.proved(venue(name), others)
    except ExchangeError as error:
        yield error
        return
    if isinstance(proved, Refusal):
        yield SymbolNotListed(name, window.symbol, proved.reason)
        return
    client = runtime.new_ccxt_client(name, [proved.market])
    try:
        yield CcxtSource(client, proved.listing, timeframe(window.timeframe), runtime.settle_ms)
    finally:
        client.close()
