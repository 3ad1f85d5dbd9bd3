"""Parse a quarantined row as its source's frame does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from backfill.domain.price_kinds import TRADE, kind_of
from backfill.domain.registered_sources import is_registered
from backfill.domain.timeframes import timeframe, utc
from backfill.domain.venues import VENUES
from backfill.exchanges.ccxt_rows import row_of
from backfill.storage.candle_store import CandleStore
from backfill.storage.listings import KnownListing
from backfill.storage.series import SeriesWindow

if TYPE_CHECKING:
    import pandas as pd

CANDLE_FIELDS = ("open", "high", "low", "close", "volume", "quote_volume")

Row = Mapping[str, Any]


class QuarantinedCandle(NamedTuple):
    """An unchecked one-row frame, what it lacks to be a candle, and the rules it breaks."""

    candle: pd.DataFrame | None
    missing: list[str]
    broken: list[str]


class QuarantineReader:
    """Reads rows of ``select_quarantine``. ccxt rows import ccxt (seconds of CPU)."""

    def __init__(self, store: CandleStore) -> None:
        self._store = store
        self._exchanges: dict[str, Any] = {}

    def read(self, row: Row, window: SeriesWindow) -> QuarantinedCandle:
        """Parse ``row``; ``window``: where its series' bars may lie."""
        candle = self._frame(row)
        if isinstance(candle, str):
            return QuarantinedCandle(None, [candle], [row["rule"]])
        return QuarantinedCandle(candle, what_is_missing(candle, window), _broken(row["rule"], candle, window))

    def _frame(self, row: Row) -> pd.DataFrame | str:
        if _was_stored(row["payload"]):
            return _stored_frame(row)
        if row["source"] in VENUES and VENUES[row["source"]].client == "blofin":
            from backfill.frames.blofin_frame import blofin_frame

            return blofin_frame([row["payload"]]).to_pandas()
        if is_registered(row["source"]):
            return self._registered_frame(row)
        return self._ccxt_frame(row)

    def _registered_frame(self, row: Row) -> pd.DataFrame | str:
        from backfill.frames.bar_frame import bar_frame

        listings = self._listings(row)
        if len(listings) != 1 or listings[0].status != "proved":
            return _no_scale(row)
        return bar_frame([row["payload"]], listings[0].price_scale, listings[0].volume_scale).to_pandas()

    def _ccxt_frame(self, row: Row) -> pd.DataFrame | str:
        from backfill.frames.ccxt_frame import ccxt_frame

        # An unknown venue's payload may be raw or parsed by ccxt.
        of_venue = VENUES.get(row["source"])
        if of_venue is None or of_venue.client != "ccxt" or not isinstance(row["payload"], list | dict):
            return f"a payload that can be read as a row of {row['source']}"
        listings = self._listings(row)
        if len(listings) != 1 or listings[0].status != "proved":
            return _no_scale(row)
        (listing,) = listings
        market = (listing.market or {})["told"]
        parsed = row_of(self._exchange(row["source"]), VENUES[row["source"]], row["payload"], market)
        return ccxt_frame([parsed], listing.price_scale, listing.volume_scale).to_pandas()

    def _listings(self, row: Row) -> list[KnownListing]:
        known = self._store.listings.known(row["symbol"], row["source_id"])
        return [one for one in known if one.market is not None]

    def _exchange(self, source: str) -> Any:
        if source not in self._exchanges:
            import ccxt

            self._exchanges[source] = getattr(ccxt, VENUES[source].ccxt_id)()
        return self._exchanges[source]


def _no_scale(row: Row) -> str:
    return f"one proved listing of {row['symbol']} at {row['source']} to know its scale"


def what_is_missing(candle: pd.DataFrame, window: SeriesWindow) -> list[str]:
    """What a one-row frame lacks to be a candle of the series."""
    from backfill.domain.candle_columns import PRICES

    bar = candle.iloc[0]
    missing = [f"a finite {name} above 0" for name in PRICES if not 0 < bar[name] < math.inf]
    if not 0 <= bar["volume"] < math.inf:
        missing.append("a finite volume of 0 or more")
    if not (math.isnan(bar["quote_volume"]) or 0 <= bar["quote_volume"] < math.inf):
        missing.append("a finite quote volume of 0 or more")
    open_ms = bar["open_ms"]
    if math.isnan(open_ms) or not timeframe(window.timeframe).is_on_grid(int(open_ms)) or open_ms % 1:
        missing.append(f"an open time on the grid of {window.timeframe}")
    elif not bar["closed"] or open_ms >= window.end_ms:
        missing.append("the end of its bar, which was still running")
    elif open_ms < window.start_ms:
        missing.append(f"an open time that is kept ({utc(window.start_ms):%Y-%m-%d %H:%M} or later)")
    return missing


def _was_stored(payload: Any) -> bool:
    """Whether the audit moved it from ``candles``."""
    return isinstance(payload, dict) and {"series_id", "source_id", "open_time", *CANDLE_FIELDS} <= payload.keys()


def _stored_frame(row: Row) -> pd.DataFrame:
    from backfill.frames.candle_frame import frame_of

    cells = {name: [row["payload"][name]] for name in CANDLE_FIELDS}
    return frame_of({"open_ms": [row["open_time"].timestamp() * 1000], **cells}, closed=[True]).to_pandas()


def _broken(rule: str, candle: pd.DataFrame, window: SeriesWindow) -> list[str]:
    """Its rule, plus any high/low violation."""
    from backfill.domain.candle_rules import Asked, high_is_not_highest, low_is_not_lowest

    asked = Asked(timeframe(window.timeframe), has_volume=kind_of(window.symbol) == TRADE)
    also = [one.__name__ for one in (high_is_not_highest, low_is_not_lowest) if one(candle, asked).any()]
    return list(dict.fromkeys([rule, *also]))
