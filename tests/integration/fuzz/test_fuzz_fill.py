"""Whatever a source answers, a fill stores no candle that breaks a rule, loses no row, and ends with its run told."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.domain.answers import bar_intervals
from backfill.domain.intervals import Interval, intersection
from backfill.domain.timeframes import MINUTE_MS, Timeframe
from backfill.exchanges.blofin_client import BlofinClient
from backfill.jobs.fill.fill_gaps import FillReport, fill_gaps
from backfill.sources.blofin_source import BlofinSource
from backfill.sources.candle_source import CandlePage, CandleSource
from backfill.storage.candle_store import CandleStore
from backfill.storage.gap_fill_log import RunIdentity
from backfill.storage.multiranges import to_intervals
from backfill.storage.series import SeriesWindow
from integration.exchange import candles_in_database
from integration.helpers import held_ms, one, rows, stored_ms, wanted_series
from unit.exchanges.canned_answers import session_with
from unit.frames import hostile_payloads as hostile
from unit.frames import judged_pages as judge
from unit.frames.fuzzed_venues import FuzzedVenue

pytestmark = pytest.mark.long

HISTORY_MS = 35 * MINUTE_MS  # less than what rows may reach back to
WHO = RunIdentity("test", "run", "fill")

_numbers = itertools.count(1)

# The rules of issue and schema once more, by Postgres. NaN is greater than all other numbers there.
BREACHES = """
SELECT c.* FROM backfill.candles AS c JOIN backfill.series AS s ON s.id = c.series_id
WHERE c.series_id = %(series_id)s AND (
    least(open, high, low, close, volume) IS NULL
    OR greatest(open, high, low, close, volume, quote_volume) >= 'Infinity'
    OR least(open, high, low, close) <= 0
    OR high < greatest(open, low, close)
    OR low > least(open, high, close)
    OR least(volume, quote_volume) < 0
    OR (extract(epoch FROM open_time) * 1000)::bigint %% s.step_ms <> 0
    OR open_time < to_timestamp(%(start_ms)s / 1000.0)
    OR open_time >= to_timestamp(%(end_ms)s / 1000.0)
)
"""


class Remembered:
    """A source, and the pages of minutes that it has given."""

    def __init__(self, source: CandleSource) -> None:
        self.name = source.name
        self.rows_per_page = source.rows_per_page
        self.counts_forward = source.counts_forward
        self.pages: list[CandlePage] = []
        self._source = source

    @property
    def requests_made(self) -> int:
        return self._source.requests_made

    def serves_from_ms(self) -> int | None:
        return None

    def from_ms(self, page: CandlePage) -> float:
        """The first bar that may stand in a page."""
        return page.after_ms - (self.rows_per_page + 1) * MINUTE_MS if self.counts_forward else float("-inf")

    def ask(self, symbol: str, timeframe: Timeframe, after_ms: int) -> CandlePage:
        page = self._source.ask(symbol, timeframe, after_ms)
        if timeframe.step_ms == MINUTE_MS:  # longer bars are asked for as proofs, and not stored
            self.pages.append(page)
        return page


class Blofin:
    """Blofin, which answers what it is told to."""

    name = "blofin"
    layout = judge.LAYOUTS["blofin"]

    def __init__(self) -> None:
        self.exchange = hostile.Exchange()
        self._client = BlofinClient(session_with(self.exchange), sleep=lambda _: None)

    def source(self) -> CandleSource:
        return BlofinSource(self._client)

    def envelope(self, told: Any) -> Any:
        return {"code": "0", "msg": "success", "data": told}


@pytest.fixture(scope="module")
def fuzzed(request: pytest.FixtureRequest) -> Blofin | FuzzedVenue:
    return Blofin() if request.param == "blofin" else FuzzedVenue(request.param)


def fill(store: CandleStore, source: CandleSource, history_ms: int = HISTORY_MS) -> tuple[SeriesWindow, FillReport]:
    """One attempt on a series of its own, whose window ends at the cursor of the payloads."""
    window = wanted_series(
        store,
        f"FUZZ{next(_numbers)}-USDT",
        history_ms=history_ms,
        sources=[source.name],
        now_ms=judge.CURSOR_MS + 30_000,
    )
    assert (window.start_ms, window.end_ms) == (judge.CURSOR_MS - history_ms, judge.CURSOR_MS)
    return window, fill_gaps(store, [source], window, WHO)


def assert_no_rule_is_broken(store: CandleStore, window: SeriesWindow, report: FillReport) -> None:
    """Candles, ledger, absences and log agree with the rules and with each other."""
    span = {"series_id": window.series_id, "start_ms": window.start_ms, "end_ms": window.end_ms}
    assert rows(store.connection, BREACHES, span) == []
    bars = _as_intervals(stored_ms(store.connection, window))
    assert held_ms(store.connection, window) == bars
    assert intersection(bars, absent_ms(store, window)) == []
    told = rows(
        store.connection,
        "SELECT status, finished_at IS NOT NULL, rows_inserted, rows_quarantined FROM backfill.gap_fill_runs "
        "WHERE series_id = %s",
        (window.series_id,),
    )
    assert told == [(report.status, True, sum(i.end - i.start for i in bars) // MINUTE_MS, report.rows_quarantined)]


def assert_each_row_has_its_place(
    store: CandleStore, window: SeriesWindow, source: Remembered, layout: judge.Layout, *, says_one_thing: bool
) -> None:
    """Stored, if it may be; in quarantine as it came, if it broke a rule; and what it may stand for is not absent.

    Of a source that contradicts itself only what two answers agree on is used, so there we ask that nothing be made up.
    """
    expected: set[judge.Bar] = set()
    offenders: list[Any] = []
    for page in source.pages:
        now_ms = float("inf") if page.server_ms is None else page.server_ms
        judge.assert_judged_rightly(page, layout, page.after_ms, now_ms, from_ms=source.from_ms(page))
        expected |= {bar for bar in judge.sound_bars(page) if window.start_ms <= bar[0] < window.end_ms}
        offenders += [page.rows[row.place] for row in page.broken]
        doubtful = [*page.running_ms, *(row.open_ms for row in page.broken)]
        assert not any(is_denied(store, window, page, open_ms) for open_ms in doubtful)
    stored = candles_in_database(store, window)
    assert set(stored) <= expected
    kept = rows(store.connection, "SELECT payload FROM backfill.quarantine WHERE series_id = %s", (window.series_id,))
    payloads = [_comparable(payload) for (payload,) in kept]
    told = [offender for raw in offenders for offender in (_comparable(raw), ascii(raw))]
    assert all(payload in told for payload in payloads)
    if says_one_thing:
        assert stored == sorted(expected)
        for offender in offenders:
            assert _comparable(offender) in payloads or ascii(offender) in payloads


def is_denied(store: CandleStore, window: SeriesWindow, page: CandlePage, open_ms: int | None) -> bool:
    """Whether a bar is believed absent that a page gives but cannot vouch for; None: any of the page's bars."""
    if page.covers is None:
        return False
    bar = page.covers if open_ms is None else Interval(open_ms, open_ms + 1)
    return bool(intersection(intersection([page.covers], [bar]), absent_ms(store, window, "proved", "reported")))


def absent_ms(store: CandleStore, window: SeriesWindow, *grades: str) -> list[Interval]:
    sql = (
        "SELECT coalesce(range_agg(absent), '{}') FROM backfill.absences "
        "WHERE series_id = %s AND (grade = ANY(%s) OR %s)"
    )
    return to_intervals(one(store.connection, sql, (window.series_id, list(grades), not grades)))


def _as_intervals(opens_ms: list[int]) -> list[Interval]:
    import numpy as np

    return bar_intervals(np.array(opens_ms, dtype=np.int64), MINUTE_MS)


def _comparable(payload: Any) -> Any:
    """Numbers as floats, since jsonb does not tell 1e2 from 100; what was no JSON stays the text that it became."""
    try:
        return json.loads(json.dumps(payload), parse_int=_float, parse_float=_float)
    except RecursionError:
        return ascii(payload)


def _float(text: str) -> float:
    return float(text)


SOURCES = ("blofin", "okx")


@pytest.mark.parametrize("fuzzed", SOURCES, indirect=True)
def test_whatever_stands_in_a_cell_its_row_alone_is_kept_apart(
    store: CandleStore, fuzzed: Blofin | FuzzedVenue
) -> None:
    page = hostile.every_cell_in_every_place(fuzzed.layout)
    fuzzed.exchange.says(hostile.json_bytes(fuzzed.envelope(page)))
    source = Remembered(fuzzed.source())
    window, report = fill(store, source, history_ms=len(page) * MINUTE_MS)
    assert_no_rule_is_broken(store, window, report)
    assert_each_row_has_its_place(store, window, source, fuzzed.layout, says_one_thing=True)
    assert report.rows_quarantined > len(page) / 2


@pytest.mark.parametrize("fuzzed", SOURCES, indirect=True)
@hostile.fuzz(150)
@given(data=st.data(), now_ms=hostile.clocks_ms)
def test_of_any_rows_the_good_ones_are_stored_and_the_others_are_in_quarantine(
    store: CandleStore, fuzzed: Blofin | FuzzedVenue, data: st.DataObject, now_ms: int
) -> None:
    pages = data.draw(st.lists(hostile.rows(fuzzed.layout), min_size=1, max_size=3))
    fuzzed.exchange.says(*(hostile.json_bytes(fuzzed.envelope(page)) for page in pages), now_ms=now_ms)
    source = Remembered(fuzzed.source())
    window, report = fill(store, source)
    assert_no_rule_is_broken(store, window, report)
    assert_each_row_has_its_place(store, window, source, fuzzed.layout, says_one_thing=len(pages) == 1)


@pytest.mark.parametrize("fuzzed", SOURCES, indirect=True)
@hostile.fuzz(100)
@given(data=st.data(), status=hostile.statuses, headers=hostile.headers)
def test_of_any_bytes_nothing_is_stored_that_breaks_a_rule_and_the_run_is_told(
    store: CandleStore, fuzzed: Blofin | FuzzedVenue, data: st.DataObject, status: int, headers: dict[str, str]
) -> None:
    whole = (hostile.rows(fuzzed.layout) | hostile.json_values).map(fuzzed.envelope).map(hostile.json_bytes)
    answers = data.draw(st.lists(hostile.bodies(whole), min_size=1, max_size=3))
    fuzzed.exchange.says(*answers, status=status, headers=headers)
    window, report = fill(store, fuzzed.source())
    assert_no_rule_is_broken(store, window, report)
