"""Other sources' bars under a new name from the time of the former one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from backfill.domain.markets import Market
from backfill.domain.price_kinds import kind_of
from backfill.domain.timeframes import timeframe
from backfill.domain.venues import venue
from backfill.errors import ExchangeError
from backfill.sources.runtime import Runtime
from backfill.storage.series import SeriesWindow

if TYPE_CHECKING:
    import pandas as pd


def bars_elsewhere(runtime: Runtime, new: SeriesWindow, before_ms: int) -> Iterator[tuple[str, pd.DataFrame | str]]:
    """One page of each source that stands in for ``new``, or why there is none; requested lazily.

    A listing must be proved already: a look at a rename proves none, and spot is no evidence of a perpetual.
    """
    kind, bars = kind_of(new.symbol), timeframe(new.timeframe)
    for source_id, name in zip(new.source_ids[1:], runtime.store.source_names(new.source_ids[1:]), strict=True):
        of_venue = venue(name)
        if not of_venue.serves(bars.name) or not of_venue.has_kind(kind):
            continue
        listings = runtime.store.listings.known(new.symbol, source_id)
        known = [one for one in listings if (one.status, one.instrument_class) == ("proved", "perpetual")]
        if not known:
            yield name, f"its listing of {new.symbol} is not proved"
            continue
        market = Market(**known[0].market) if known[0].market else None
        source = runtime.candle_source(of_venue.of_kind(kind), known[0].listing, market, bars.name, splits=new.splits)
        with closing(source):
            answer: pd.DataFrame | str
            try:
                answer = source.ask(new.symbol, bars, before_ms).sound
            except ExchangeError as error:
                answer = str(error)
        yield name, answer
