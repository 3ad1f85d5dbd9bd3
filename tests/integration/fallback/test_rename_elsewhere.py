"""A rename without a common bar: another source's bars under the new name prove it, or refuse it."""

from __future__ import annotations

from functools import partial

import pandas as pd
import pytest

from backfill.domain.candle_columns import CANDLE_COLUMNS
from backfill.errors import DecisionRefused
from backfill.jobs.by_hand.bars_elsewhere import bars_elsewhere
from backfill.jobs.by_hand.carry_history import Rename
from backfill.storage.candle_store import CandleStore
from integration.exchange import punch
from integration.fallback.conftest import MARKET, Open, Venues
from integration.fallback.fills import run, want
from integration.helpers import HOUR_MS, contents, held_ms, opens, rows, store_bars

LOG = "SELECT what, old, new FROM backfill.instrument_log"


@pytest.mark.parametrize(
    ("coin", "state", "said"),
    [
        ("BTC-USDT", "unlisted", None),
        ("ETH-USDT", "unlisted", "1m of okx: 0 of 60 bars in common agree"),
        ("BTC-USDT", "live", "1m: no bar in common"),
    ],
)
def test_where_the_list_no_longer_names_it_another_source_decides(
    store: CandleStore, venues: Venues, opened: Open, coin: str, state: str, said: str | None
) -> None:
    venues.replace("okx", opened("okx", difference_bp=0.2))  # as near as real perpetuals are to each other
    new = want(store, sources=("blofin", "okx"), history_ms=2 * HOUR_MS)
    run(venues, [new], only=["blofin"])
    punch(store, new, opens(new.end_ms - HOUR_MS, new.end_ms))
    run(venues, [new], leave_out=["blofin"])  # which proves okx's listing
    old = want(store, "XBT-USDT", sources=("blofin",), history_ms=24 * HOUR_MS)
    past = MARKET.candles(coin, "1m", new.start_ms - 2 * HOUR_MS, new.start_ms - HOUR_MS)
    store_bars(store, old, pd.DataFrame(past.tolist(), columns=CANDLE_COLUMNS).astype({"open_ms": "int64"}))
    store.connection.execute("UPDATE backfill.instruments SET state = %s WHERE symbol = 'XBT-USDT'", (state,))
    before = contents(store.connection)

    with venues.open_runtime() as runtime:
        look = partial(Rename, runtime.store, "XBT-USDT", "BTC-USDT", 0, partial(bars_elsewhere, runtime))
        if said is not None:
            with pytest.raises(DecisionRefused) as refused:
                look()
            assert said in str(refused.value)
            assert contents(store.connection) == before
            return
        assert look().apply() == {"1m": 60}

    assert held_ms(store.connection, new) == [
        (new.start_ms - 2 * HOUR_MS, new.start_ms - HOUR_MS), (new.start_ms, new.end_ms)
    ]  # fmt: skip
    proof = "1m of okx: 60 of 60 bars in common agree (100.0%)"
    assert rows(store.connection, LOG) == [("history_carried", "XBT-USDT", proof)]
