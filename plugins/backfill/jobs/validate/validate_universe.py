"""Validate many series."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime

from backfill.config.universe_model import Validation
from backfill.domain.venues import venue
from backfill.errors import ExchangeError, SeriesBusy
from backfill.jobs.fill.each_series import each_series
from backfill.jobs.fill.fill_gaps import HURRIED_PATIENCE_S
from backfill.jobs.validate.validate_series import ValidationReport, validate_series
from backfill.sources.candle_source import CandleSource
from backfill.sources.ccxt_source import CcxtSource
from backfill.sources.choose_sources import sources_of
from backfill.sources.runtime import Runtime
from backfill.sources.window_source import WindowSource
from backfill.storage.candle_store import CandleStore
from backfill.storage.gap_fill_log import RunIdentity
from backfill.storage.rereads import Rereads
from backfill.storage.series import SeriesWindow

log = logging.getLogger(__name__)


def declared_validation(runtime: Runtime) -> Validation:
    """The universe's validation settings."""
    return runtime.universe.validation


def validate_universe(
    runtime: Runtime,
    windows: Sequence[SeriesWindow],
    who: RunIdentity,
    validation: Validation,
    *,
    at: datetime,
    only: Sequence[str] | None = None,
    thorough: bool = False,
) -> Iterator[ValidationReport]:
    """Yield each window's report when done. ``only``: other sources that may be asked; None: all.

    A series that another run changes gets no report; the next validation covers it.
    """

    def validate(store: CandleStore, window: SeriesWindow) -> ValidationReport | None:
        primary, *others = store.source_names(window.source_ids)
        spot = not venue(primary).perpetuals
        allowed = [name for name in validation.providers or others if name in others]
        asked = [name for name in allowed if venue(name).perpetuals != spot and (only is None or name in only)]
        changed = list(Rereads(store, window).touched_stand_ins())
        with (
            closing(sources_of(runtime, store, window, who.run_id, [primary])) as at_primary,
            closing(sources_of(runtime, store, window, who.run_id, asked)) as elsewhere,
            closing(sources_of(runtime, store, window, who.run_id, changed)) as stand_ins,
        ):
            try:
                return validate_series(
                    store,
                    at_primary,
                    _perpetuals(elsewhere),
                    window,
                    who,
                    validation,
                    at=at,
                    stand_ins=stand_ins,
                    thorough=thorough,
                    patience_s=HURRIED_PATIENCE_S,
                )
            except SeriesBusy as busy:
                log.warning("not validated: %s", busy)
                return None

    return (report for report in each_series(runtime, windows, validate) if report is not None)


def _perpetuals(sources: Iterator[CandleSource | ExchangeError]) -> Iterator[CandleSource | ExchangeError]:
    """Spot markets may stand in for perpetuals, but not judge their prices."""
    return (source for source in sources if not (isinstance(source, CcxtSource | WindowSource) and source.is_spot))
