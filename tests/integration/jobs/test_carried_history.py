"""Bars that were carried over from a former name, as later runs meet them."""

from __future__ import annotations

from backfill.domain.intervals import Interval
from backfill.jobs.by_hand.carry_history import Rename
from backfill.storage.candle_store import CandleStore
from backfill.storage.rereads import Rereads
from integration.exchange import PaperBlofin, fill, run_log
from integration.helpers import (
    DAY_MS,
    HOUR_MS,
    NOW_MS,
    candles,
    contents,
    held_ms,
    missing_candles,
    opens,
    store_bars,
    wanted_series,
    window_of,
)

LISTED_MS = NOW_MS - 6 * HOUR_MS


def test_a_hole_in_what_was_carried_over_is_asked_for_and_nothing_of_it_is_read_again(
    store: CandleStore, exchange: PaperBlofin
) -> None:
    young = wanted_series(store, "YOUNG-USDT", history_ms=DAY_MS, list_ms=LISTED_MS, state="live")
    fill(store, exchange, young)
    first_ms = held_ms(store.connection, young)[0].start
    old = wanted_series(store, "OLDER-USDT", history_ms=DAY_MS)
    history = opens(first_ms - 3 * HOUR_MS, first_ms)
    store_bars(store, old, candles([*history[:60], *history[65:]]))
    store_bars(store, old, store.candles(young.series_id, Interval(first_ms, first_ms + HOUR_MS)))

    assert Rename(store, "OLDER-USDT", "YOUNG-USDT", 0).apply() == {"1m": 175}

    window = window_of(store, "YOUNG-USDT", "1m")
    assert (window.start_ms, missing_candles(store, window)) == (history[0], 5)
    kept = contents(store.connection)["candles"]
    reports = [fill(store, exchange, window) for _ in range(2)]
    assert [report.status for report in reports] == ["partial", "partial"], "a hole, as under the former name"
    assert run_log(store, "error, missing_after")[1:] == [(None, 5), (None, 5)], (
        "no answer contradicts what was carried"
    )
    assert contents(store.connection)["candles"] == kept
    assert Rereads(store, window).due(NOW_MS).native[0].start == first_ms
