"""Questions to a person, and what each answer does."""

from __future__ import annotations

import pytest
from psycopg.types.json import Jsonb

from backfill.domain.review_answers import DISCARD, FINDINGS, KEEP, LATER, OPTIONS, QUARANTINE, RELEASE, TAKE
from backfill.domain.timeframes import utc
from backfill.errors import ConfigurationError, CorrectionsInvalid
from backfill.jobs.by_hand.review import cases, decide
from backfill.storage.candle_store import CandleStore
from backfill.storage.findings import Finding
from backfill.storage.series import SeriesWindow
from integration.helpers import MINUTE_MS, NOON_MS, candles, rows, store_bars, wanted_series

BAR_MS = NOON_MS - 10 * MINUTE_MS
STATUS = "SELECT status, note FROM backfill.quarantine ORDER BY id"


@pytest.fixture
def window(store: CandleStore) -> SeriesWindow:
    return wanted_series(store, sources=("blofin", "okx"))


@pytest.fixture
def quarantined(store: CandleStore, window: SeriesWindow) -> list[int]:
    """Two rows that broke one rule: high below low."""
    ids = []
    for place in range(2):
        open_ms = BAR_MS + place * MINUTE_MS
        row = [str(open_ms), "100", "98", "97", "99", "1", "1", "100", "1"]
        sql = (
            "INSERT INTO backfill.quarantine (series_id, source_id, open_time, rule, payload) "
            "VALUES (%s, %s, %s, 'high_is_not_highest', %s) RETURNING id"
        )
        params = (window.series_id, store.source_id("blofin"), utc(open_ms), Jsonb(row))
        ids += [row[0] for row in rows(store.connection, sql, params)]
    return ids


def differing(store: CandleStore, window: SeriesWindow, other: float) -> list[int]:
    """A stored bar that closes at 100, and a finding that says another source's closes elsewhere."""
    store_bars(store, window, candles([BAR_MS]))
    return store.findings.record(
        [
            Finding(
                "cross_source", "disagree", window.series_id, store.source_id("okx"), BAR_MS, BAR_MS + MINUTE_MS,
                field="close", stored=100.0, other=other,
            )
        ]
    )  # fmt: skip


def test_rows_that_broke_the_same_rule_are_one_question_and_decided_together(
    store: CandleStore, quarantined: list[int]
) -> None:
    (case,) = cases(store, QUARANTINE, most=20)
    assert case.subject == "BTC-USDT 1m: 2 rows of blofin break high_is_not_highest"
    assert sorted(case.ids) == quarantined
    assert '`["' in case.body

    said = decide(store, QUARANTINE, case.ids, DISCARD, "ann", 0)
    assert said == "they are wrong, by ann: 2 of 2 rows"
    assert rows(store.connection, STATUS) == [("discarded", "by ann")] * 2
    assert cases(store, QUARANTINE, most=20) == []


def test_rows_that_are_stored_anyway_become_candles(store: CandleStore, quarantined: list[int]) -> None:
    decide(store, QUARANTINE, quarantined, RELEASE, "ann", 0)
    assert rows(store.connection, "SELECT high, low FROM backfill.candles") == [(98.0, 97.0)] * 2


def test_later_changes_nothing_and_what_was_decided_meanwhile_is_left_alone(
    store: CandleStore, quarantined: list[int]
) -> None:
    assert decide(store, QUARANTINE, quarantined, LATER, "nobody", 0) == "left as they are: 2 rows"
    first, _ = quarantined
    decide(store, QUARANTINE, [first], DISCARD, "bob", 0)
    assert decide(store, QUARANTINE, quarantined, DISCARD, "ann", 0) == "they are wrong, by ann: 1 of 2 rows"
    assert rows(store.connection, STATUS) == [("discarded", "by bob"), ("discarded", "by ann")]
    assert decide(store, QUARANTINE, quarantined, RELEASE, "ann", 0).startswith("nothing to do: a person")


def test_the_other_sources_value_is_taken_as_a_correction_and_the_former_bar_kept(
    store: CandleStore, window: SeriesWindow
) -> None:
    ids = differing(store, window, other=100.5)
    (case,) = cases(store, FINDINGS, most=20)
    assert (case.subject, case.ids) == ("BTC-USDT 1m: 1 value unlike those of okx", ids)
    assert "close: ours 100.0, theirs 100.5" in case.body

    decide(store, FINDINGS, ids, TAKE, "ann", 0)
    bar = "SELECT open, close, source FROM backfill.ohlcv"
    assert rows(store.connection, bar) == [(100.0, 100.5, "manual")]
    assert rows(store.connection, "SELECT close, reason FROM backfill.revisions") == [(100.0, "manual")]
    assert rows(store.connection, "SELECT status FROM backfill.findings") == [("settled",)]


def test_a_value_that_would_break_the_bar_is_refused_and_ours_can_be_kept(
    store: CandleStore, window: SeriesWindow
) -> None:
    ids = differing(store, window, other=250.0)
    with pytest.raises(CorrectionsInvalid, match="high_is_not_highest"):
        decide(store, FINDINGS, ids, TAKE, "ann", 0)
    assert rows(store.connection, "SELECT close FROM backfill.candles") == [(100.0,)]
    decide(store, FINDINGS, ids, KEEP, "ann", 0)
    found = rows(store.connection, "SELECT status, detail ->> 'dismissed' FROM backfill.findings")
    assert found == [("dismissed", "ours is kept, by ann")]


def test_an_answer_that_is_none_is_refused(store: CandleStore, quarantined: list[int]) -> None:
    with pytest.raises(ConfigurationError, match="'Keep our values' is no answer about quarantine"):
        decide(store, QUARANTINE, quarantined, KEEP, "ann", 0)
    assert OPTIONS[QUARANTINE][-1] == OPTIONS[FINDINGS][-1] == LATER
