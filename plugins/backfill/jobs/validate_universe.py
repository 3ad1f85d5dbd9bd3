"""Validate many series: what a mapped task does for its symbols and the command line for all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime

from backfill.jobs.choose_sources import sources_of
from backfill.jobs.each_series import each_series
from backfill.jobs.supplies import Supplies
from backfill.jobs.validate_series import ValidationReport, validate_series
from backfill.storage.candle_store import CandleStore, SeriesWindow
from backfill.storage.gap_fill_log import RunIdentity
from backfill.universe import load_universe
from backfill.universe_model import Validation


def declared_validation(supplies: Supplies) -> Validation:
    """How the universe wants its candles checked."""
    return load_universe(supplies.settings.universe, supplies.settings.profile).validation


def validate_universe(
    supplies: Supplies,
    windows: Sequence[SeriesWindow],
    who: RunIdentity,
    validation: Validation,
    *,
    at: datetime,
    only: Sequence[str] | None = None,
    thorough: bool = False,
) -> Iterator[ValidationReport]:
    """The report of each window as it is done. ``only``: who may be asked beside the home; None: all it has."""

    def validate(store: CandleStore, window: SeriesWindow) -> ValidationReport:
        home, *others = store.source_names(window.source_ids)
        # A spot market's prices are not the perpetual's: they may stand in for it, but not judge it.
        perpetual = window._replace(spot_proxy=False)
        asked = [name for name in only if name in others] if only is not None else others
        with (
            closing(sources_of(supplies, store, window, who.run_id, [home])) as at_home,
            closing(sources_of(supplies, store, perpetual, who.run_id, asked)) as elsewhere,
        ):
            return validate_series(store, at_home, elsewhere, window, who, validation, at=at, thorough=thorough)

    return each_series(supplies, windows, validate)
