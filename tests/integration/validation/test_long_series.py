"""A long history in a validation: it is read a piece at a time."""

from __future__ import annotations

from itertools import pairwise

import pytest

from backfill.jobs.validate.prove_by_timeframe import CHUNK_BARS
from backfill.storage.candle_store import CandleStore
from integration.fallback.conftest import Venues
from integration.fallback.fills import run, want
from integration.helpers import DAY_MS, MINUTE_MS, rows
from integration.validation.validations import validate

DAYS = 40


@pytest.mark.long
def test_minutes_are_added_up_to_their_days_in_pieces_that_fit_into_memory(venues: Venues, store: CandleStore) -> None:
    windows = [want(store, timeframe=name, history_ms=DAYS * DAY_MS, sources=("blofin",)) for name in ("1m", "1d")]
    run(venues, windows)

    validate(venues, windows)

    pieces = rows(
        store.connection,
        "SELECT backfill.epoch_ms(start_time), backfill.epoch_ms(end_time), verdict FROM backfill.findings "
        "WHERE kind = 'next_timeframe' AND series_id = %s ORDER BY start_time",
        (windows[0].series_id,),
    )
    assert {verdict for _, _, verdict in pieces} == {"agree"}
    assert len(pieces) > 1
    assert all(end_ms - start_ms <= CHUNK_BARS * MINUTE_MS for start_ms, end_ms, _ in pieces)
    assert all(end_ms == next_ms for (_, end_ms, _), (next_ms, *_) in pairwise(pieces))
    assert pieces[-1][1] - pieces[0][0] >= (DAYS - 1) * DAY_MS
