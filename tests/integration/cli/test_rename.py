"""``backfill rename OLD NEW``: the former name's history, where common bars prove that it is the same instrument."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from backfill.domain.intervals import Interval, difference
from backfill.domain.timeframes import utc
from backfill.jobs.maintain.audit import audit
from backfill.storage.candle_store import CandleStore
from backfill.storage.multiranges import to_multirange
from backfill.storage.series import SeriesWindow
from integration.cli.conftest import Cli, Said
from integration.helpers import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    NOON_MS,
    NOW_MS,
    contents,
    held_ms,
    missing_candles,
    one,
    opens,
    rows,
    store_bars,
    wanted_series,
    window_of,
)

YEARS_MS = 3650 * DAY_MS
# The old name was listed long before; the new one came while the old one went on for an hour and more.
OLD_FROM_MS, RENAMED_MS, OLD_UNTIL_MS = NOON_MS - 8 * HOUR_MS, NOON_MS - 4 * HOUR_MS, NOON_MS - 2 * HOUR_MS
BARS = (
    "SELECT open_time, open, high, low, close, volume, quote_volume, source_id FROM backfill.candles "
    "WHERE series_id = %s AND open_time < %s ORDER BY 1"
)
SETTLED = "SELECT backfill.covered_ms(settled) / step_ms FROM backfill.series WHERE id = %s"


def walk(start_ms: int, end_ms: int, *, seed: int = 1, price: float = 0.75, times: float = 1.0) -> pd.DataFrame:
    """Minutes of one market, the same whichever part of it is asked for; ``times`` as many coins a unit."""
    chance = np.random.default_rng(seed)
    all_ms = np.array(opens(OLD_FROM_MS, NOON_MS))
    close = price * np.exp(np.cumsum(chance.normal(0, 1e-3, len(all_ms))))
    first = np.concatenate(([price], close[:-1]))
    spread = np.abs(chance.normal(0, 3e-4, (2, len(all_ms))))
    frame = pd.DataFrame(
        {
            "open_ms": all_ms,
            "open": first * times,
            "high": np.maximum(first, close) * (1 + spread[0]) * times,
            "low": np.minimum(first, close) * (1 - spread[1]) * times,
            "close": close * times,
            "volume": chance.lognormal(6, 1, len(all_ms)) / times,
            "quote_volume": chance.lognormal(6, 1, len(all_ms)),
        }
    )
    return frame[(frame["open_ms"] >= start_ms) & (frame["open_ms"] < end_ms)].reset_index(drop=True)


def hours_of(minutes: pd.DataFrame) -> pd.DataFrame:
    grouped = minutes.groupby(minutes["open_ms"] // HOUR_MS * HOUR_MS)
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum", "quote_volume": "sum"}
    return grouped.agg(how).reset_index()


class Names:
    """The series of both names, in minutes and hours."""

    def __init__(self, store: CandleStore, old: str = "MATIC-USDT", new: str = "POL-USDT") -> None:
        self.store, self.old, self.new = store, old, new
        self.listed_ms = {old: None, new: RENAMED_MS}

    def keep(self, symbol: str, minutes: pd.DataFrame, *, source: str = "blofin") -> dict[str, SeriesWindow]:
        kept = {}
        for name, frame in (("1m", minutes), ("1h", hours_of(minutes))):
            kept[name] = wanted_series(
                self.store, symbol, name, history_ms=YEARS_MS, sources=("blofin", "okx"), list_ms=self.listed_ms[symbol]
            )
            store_bars(self.store, kept[name], frame, source=source)
        return kept


def rename(cli: Cli, names: Names, *options: str) -> Said:
    return cli("rename", names.old, names.new, *(options or ("--yes", "--json")))


def everything(store: CandleStore) -> dict[str, Any]:
    return {
        **contents(store.connection),
        "carried": rows(store.connection, "SELECT * FROM backfill.carried ORDER BY 1, 2"),
        "log": rows(store.connection, "SELECT * FROM backfill.instrument_log ORDER BY id"),
        "ledger": rows(store.connection, "SELECT id, settled, no_trade, lost FROM backfill.series ORDER BY id"),
    }


def test_the_history_is_carried_over_once_where_common_bars_prove_it_and_explained(
    cli: Cli, store: CandleStore
) -> None:
    names = Names(store)
    minutes = walk(OLD_FROM_MS, OLD_UNTIL_MS)
    quiet_ms = OLD_FROM_MS + 90 * MINUTE_MS
    old = names.keep(names.old, minutes[minutes["open_ms"] != quiet_ms])
    new = names.keep(names.new, walk(RENAMED_MS, NOON_MS))
    known = "UPDATE backfill.series SET no_trade = %s::int8multirange, settled = held WHERE id = %s"
    quiet = [Interval(quiet_ms, quiet_ms + MINUTE_MS)]
    store.connection.execute(known, (to_multirange(quiet), old["1m"].series_id))
    before = everything(store)

    tried = rename(cli, names, "--dry-run")
    refused = rename(cli, names, "--json")

    assert (tried.code, tried.out.splitlines()[-1]) == (0, "243 candles to carry over")
    assert (refused.code, "say --yes if that is meant" in refused.err) == (2, True)
    assert everything(store) == before

    done = rename(cli, names)

    assert (done.code, done.document["carried"], done.document["price_divisor"]) == (0, 243, 1)
    told = {row["timeframe"]: (row["candles"], row["common_bars"], row["proof"]) for row in done.document["series"]}
    assert told == {
        "1m": (239, 120, "120 of 120 bars in common agree (100.0%)"),
        "1h": (4, 2, "2 bars in common, 30 are needed"),
    }
    for name in ("1m", "1h"):
        holes = quiet if name == "1m" else []
        assert held_ms(store.connection, new[name]) == difference([Interval(OLD_FROM_MS, NOON_MS)], holes)
        assert held_ms(store.connection, old[name]) == difference([Interval(OLD_FROM_MS, OLD_UNTIL_MS)], holes)
        bars = [rows(store.connection, BARS, (of[name].series_id, utc(RENAMED_MS))) for of in (old, new)]
        assert bars[0] == bars[1]
        window = window_of(store, names.new, name)
        assert window.start_ms == OLD_FROM_MS, "the window begins with what was carried"
        assert missing_candles(store, window) == 0
    assert rows(store.connection, "SELECT instrument, what, old, new FROM backfill.instrument_log") == [
        ("POL-USDT", "history_carried", "MATIC-USDT", "1m: 120 of 120 bars in common agree (100.0%)")
    ]
    assert one(store.connection, SETTLED, (new["1m"].series_id,)) == 239, "as under the former name"
    assert audit(store, at=utc(NOW_MS)).lines == []
    line = "carried over from MATIC-USDT on "
    assert line in cli("explain", names.new, "1m", str(OLD_FROM_MS)).out
    assert line not in cli("explain", names.new, "1m", str(RENAMED_MS)).out

    after = everything(store)
    again = rename(cli, names)

    assert "nothing to carry over" in rename(cli, names, "--yes").out
    assert (again.code, again.document["carried"], again.document["planned"]) == (0, 0, 0)
    assert again.document["series"][0]["common_bars"] == 120, "what was carried over is no evidence"
    assert everything(store) == after


@pytest.mark.parametrize(
    ("old", "new", "divisor"), [("1000BONK-USDT", "BONK-USDT", 1000), ("BONK-USDT", "1000BONK-USDT", 0.001)]
)
def test_another_scale_divides_prices_and_multiplies_volumes(
    cli: Cli, store: CandleStore, old: str, new: str, divisor: float
) -> None:
    names = Names(store, old, new)
    names.keep(old, walk(OLD_FROM_MS, OLD_UNTIL_MS, times=divisor), source="okx")
    series = names.keep(new, walk(RENAMED_MS, NOON_MS))

    done = rename(cli, names)

    assert (done.code, done.document["carried"], done.document["price_divisor"]) == (0, 244, divisor)
    stored = store.candles(series["1m"].series_id, Interval(OLD_FROM_MS, RENAMED_MS))
    assert set(stored.pop("source_id")) == {store.source_id("okx")}
    pd.testing.assert_frame_equal(stored, walk(OLD_FROM_MS, RENAMED_MS), rtol=1e-12)
    assert "its price divided by" in cli("explain", new, "1m", str(OLD_FROM_MS)).out
    assert audit(store, at=utc(NOW_MS)).lines == []


def coin(**how: Any) -> Any:
    return lambda: walk(RENAMED_MS, NOON_MS, **how)


def pegged(seed: int) -> pd.DataFrame:
    """A dollar, to a ten-thousandth."""
    frame = walk(OLD_FROM_MS, NOON_MS, seed=seed, price=1.0)
    return frame.assign(**{name: 1 + (frame[name] - 1) * 1e-3 for name in ("open", "high", "low", "close")})


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (lambda: walk(OLD_FROM_MS, RENAMED_MS + 29 * MINUTE_MS), coin(), "1m: 29 bars in common, 30 are needed"),
        (lambda: walk(OLD_FROM_MS, RENAMED_MS), coin(), "1m: no bar in common"),
        (lambda: walk(OLD_FROM_MS, OLD_UNTIL_MS), coin(seed=2), "120 bars in common agree ("),
        (lambda: walk(OLD_FROM_MS, OLD_UNTIL_MS), coin(times=1000.0), "1m: 0 of 120 bars in common agree (0.0%): its"),
        (lambda: pegged(1)[:360], lambda: pegged(2)[240:], "but their prices do not move together"),
    ],
)
def test_what_is_not_proved_is_refused_with_its_figures_and_nothing_is_written(
    cli: Cli, store: CandleStore, old: Any, new: Any, said: str
) -> None:
    names = Names(store)
    names.keep(names.old, old())
    names.keep(names.new, new())
    before = everything(store)

    refused = rename(cli, names)

    assert refused.code == 2
    assert "cannot carry the history of MATIC-USDT over to POL-USDT, which is not proved" in refused.err
    assert said in refused.err
    assert everything(store) == before


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("NONE-USDT", "POL-USDT", "unknown symbol 'NONE-USDT'"),
        ("POL-USDT", "POL-USDT", "no two names"),
        ("POL-USDT", "POL-USDC", "in USDC"),
        ("POL-USDT", "POL-USDT.mark", "no two names"),
        ("POL-USDT", "MATIC-USDT", "in no timeframe of POL-USDT (1m)"),
    ],
)
def test_what_can_be_no_rename_is_refused_in_a_sentence(
    cli: Cli, store: CandleStore, old: str, new: str, said: str
) -> None:
    for symbol in ("POL-USDT", "POL-USDC", "POL-USDT.mark"):
        wanted_series(store, symbol)
    wanted_series(store, "MATIC-USDT", "1h")

    refused = cli("rename", old, new, "--yes")

    assert refused.code == 2
    assert said in refused.err
