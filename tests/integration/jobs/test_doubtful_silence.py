"""What a lone source lacks and nothing confirms: no complete series, a gap with its reason, and in time a finding."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import pytest

from backfill.config.universe_model import Validation
from backfill.domain.timeframes import TIMEFRAMES, utc
from backfill.domain.timeframes import timeframe as timeframe_named
from backfill.jobs.fill.fill_gaps import fill_gaps
from backfill.jobs.validate.validate_series import validate_series
from backfill.paper.bars import grouped
from backfill.paper.given_market import GivenMarket
from backfill.paper.market import CANDLE, Candles
from backfill.sources.blofin_source import BlofinSource
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import Selection, SeriesWindow
from integration.exchange import WHO, PaperBlofin, fill, source_of
from integration.helpers import DAY_MS, HOUR_MS, MINUTE_MS, NOON_MS, NOW_MS, one, rows, wanted_series

SYMBOL = "BTC-USDT"


def bars_of(opens_ms: Sequence[int], timeframe: str = "5m") -> Candles:
    """Sound bars, each of one trade at a price of its own: longer ones are made of 5m."""
    bars = np.zeros(len(opens_ms), dtype=CANDLE)
    bars["open_ms"] = opens_ms
    price = 50_000 + (np.asarray(opens_ms) // (5 * MINUTE_MS)) * 353 % 977
    for name in ("open", "high", "low", "close"):
        bars[name] = price
    bars["base_volume"], bars["quote_volume"] = 2, 2 * price
    return bars


@contextmanager
def exchange_of(given: Mapping[str, Candles]) -> Iterator[PaperBlofin]:
    with PaperBlofin(GivenMarket({(SYMBOL, name): bars for name, bars in given.items()})) as exchange:
        yield exchange


class Renamed(BlofinSource):
    """The same bars at another source."""

    name = "okx"


def validated(store: CandleStore, exchange: PaperBlofin, window: SeriesWindow) -> list[str]:
    """The open findings after a validation, each kind once."""
    validate_series(store, iter([source_of(exchange)]), iter([]), window, WHO, Validation(), at=utc(NOW_MS))
    found = rows(store.connection, "SELECT DISTINCT kind FROM backfill.findings WHERE status = 'open' ORDER BY 1")
    return [kind for (kind,) in found]


def as_if_a_day_had_gone_by(store: CandleStore) -> None:
    store.connection.execute(
        "UPDATE backfill.absences SET first_seen_at = first_seen_at - interval '25 hours', "
        "expires_at = expires_at - interval '25 hours'"
    )


def reasons(store: CandleStore) -> Counter[str]:
    """Missing candles by the reason of their gap."""
    counts: Counter[str] = Counter()
    for gap in store.rows("ledger/select_gaps", Selection(utc(NOW_MS))):
        counts[gap["reason"]] += gap["missing_candles"]
    return counts


@pytest.mark.long
def test_a_hole_of_weeks_in_a_lively_market_is_not_complete_and_is_filled_from_a_second_source(
    store: CandleStore,
) -> None:
    window = wanted_series(store, timeframe="5m", history_ms=60 * DAY_MS)
    grid = range(window.start_ms, window.end_ms, 5 * MINUTE_MS)
    dice = random.Random(4)
    hole = set(grid[4000:10_000])
    rests = {ms for ms in grid if dice.random() < 0.007} - hole
    lacking = hole | rests
    with exchange_of({"5m": bars_of([ms for ms in grid if ms not in lacking])}) as exchange:
        reports = [fill(store, exchange, window) for _ in range(2)]

        assert [(report.status, report.missing_after >= len(hole)) for report in reports] == [("partial", True)] * 2
        assert reports[-1].missing_after <= len(hole) + 20, "its rests elsewhere are believed"
        assert reports[-1].coverage_after < 70
        assert set(reasons(store)) <= {"doubtful"}
        now = one(store.connection, "SELECT doubtful_candles FROM backfill.sync_status_at(%s)", (utc(NOW_MS),))
        assert now == reports[-1].missing_after
        assert validated(store, exchange, window) == []
        as_if_a_day_had_gone_by(store)
        assert validated(store, exchange, window) == ["doubtful_silence"]

    store.connection.execute(
        "UPDATE backfill.series SET source_ids = source_ids || %s::smallint", (store.source_id("okx"),)
    )
    both = window._replace(source_ids=[*window.source_ids, store.source_id("okx")])
    with exchange_of({"5m": bars_of([ms for ms in grid if ms not in rests])}) as exchange:
        other = source_of(exchange)
        report = fill_gaps(store, [Renamed(other._client, other.rows_per_page, 5000)], both, WHO)
        assert report.rows_inserted == len(hole)
        validated(store, exchange, both)
        assert one(store.connection, "SELECT count(*) FROM backfill.findings WHERE status = 'open'") == 0


def test_hours_that_lack_although_their_quarters_traded_are_lost(store: CandleStore) -> None:
    quarters = wanted_series(store, timeframe="15m", history_ms=60 * DAY_MS)
    hours = wanted_series(store, timeframe="1h", history_ms=60 * DAY_MS)
    dice = random.Random(5)
    lacking = set(dice.sample(range(hours.start_ms, hours.end_ms, HOUR_MS), 400))
    grid = range(quarters.start_ms, quarters.end_ms, 15 * MINUTE_MS)
    whole = [ms for ms in range(hours.start_ms, hours.end_ms, HOUR_MS) if ms not in lacking]
    with exchange_of({"15m": bars_of(grid), "1h": bars_of(whole)}) as exchange:
        assert fill(store, exchange, quarters).status == "complete"
        for _ in range(3):
            report = fill(store, exchange, hours)
            assert (report.status, report.missing_after) == ("partial", 400)
        assert reasons(store) == {"lost": 400}
        assert validated(store, exchange, hours) == ["lost_bars"]


def test_a_database_that_has_believed_one_wrong_answer_mends_itself(store: CandleStore) -> None:
    """As the migration leaves it: what one answer had called absent is doubtful, what two had is reported."""
    window = wanted_series(store, timeframe="5m", history_ms=10 * DAY_MS)
    grid = range(window.start_ms, window.end_ms, 5 * MINUTE_MS)
    store.connection.execute(
        "INSERT INTO backfill.absences (series_id, source_id, confirmations, expires_at, absent) "
        "VALUES (%s, %s, 1, now(), int8multirange(int8range(%s, %s)))",
        (window.series_id, store.source_id("blofin"), grid[0], grid[2000]),
    )
    assert store.open_work(window).missing_candles == len(grid)
    with exchange_of({"5m": bars_of(grid)}) as exchange:
        assert fill(store, exchange, window).status == "complete"
    assert one(store.connection, "SELECT count(*) FROM backfill.candles") == len(grid)


def test_a_young_instrument_that_is_asked_before_its_start_is_not_asked_for_ever(store: CandleStore) -> None:
    window = wanted_series(store, timeframe="5m", history_ms=20 * DAY_MS)
    grid = range(NOON_MS - 8 * DAY_MS, window.end_ms, 5 * MINUTE_MS)
    longer = bars_of(range(timeframe_named("15m").floor(grid[0]), window.end_ms, 15 * MINUTE_MS))
    with exchange_of({"5m": bars_of(grid), "15m": longer}) as exchange:
        first = fill(store, exchange, window)
        exchange.asked.clear()
        second = fill(store, exchange, window)

    assert (first.status, second.status, second.requests, exchange.asked) == ("complete", "complete", 0, [])
    assert rows(store.connection, "SELECT DISTINCT grade FROM backfill.absences") == [("reported",)]


def thin_market(window: SeriesWindow, without: Collection[int] = ()) -> dict[str, Candles]:
    """Minutes of which half rest, but for the last; the longer bars know of those in ``without`` too."""
    dice = random.Random(9)
    traded = [ms for ms in range(window.start_ms, window.end_ms, MINUTE_MS) if dice.random() < 0.5]
    true = bars_of(sorted({*traded, *without, window.end_ms - MINUTE_MS}))
    instrument = GivenMarket({(SYMBOL, "1m"): true}).instrument(SYMBOL)
    longer = {name: grouped(true, bar, instrument) for name, bar in TIMEFRAMES.items() if bar.step_ms > MINUTE_MS}
    return {"1m": true[~np.isin(true["open_ms"], list(without))], **longer}


@pytest.mark.long
def test_a_page_of_longer_bars_settles_the_rests_of_a_thin_market(store: CandleStore) -> None:
    window = wanted_series(store, timeframe="1m", history_ms=10 * DAY_MS)
    with exchange_of(thin_market(window)) as exchange:
        first = fill(store, exchange, window)
        second = fill(store, exchange, window)

    assert (first.status, first.requests, second.requests) == ("complete", 10 + 1, 0)
    assert first.absent_found > 7000


def test_a_lost_minute_of_a_thin_market_makes_a_few_minutes_lost_and_not_hours(store: CandleStore) -> None:
    window = wanted_series(store, timeframe="1m", history_ms=10 * DAY_MS)
    lost_ms = window.start_ms + 5 * DAY_MS + 7 * HOUR_MS + 12 * MINUTE_MS
    with exchange_of(thin_market(window, {lost_ms})) as exchange:
        report = fill(store, exchange, window)

    assert (report.status, report.requests) == ("partial", 10 + 2)
    assert set(reasons(store)) == {"lost"}
    assert 1 <= reasons(store)["lost"] <= 5
