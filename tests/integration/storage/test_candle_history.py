"""The view ``candle_history``, and what it costs to explain a bar."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from backfill.config.resources import query_file
from backfill.domain.timeframes import utc
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import SeriesWindow
from integration.cli.explained_bar import BAR_MS, give, kept_for_years
from integration.helpers import MINUTE_MS, candles, one, rows, store_bars


@pytest.fixture
def window(store: CandleStore) -> SeriesWindow:
    return kept_for_years(store)


HISTORY = (
    "SELECT version, close, source, reason, is_current FROM backfill.candle_history "
    "WHERE symbol = 'BTC-USDT' AND timeframe = '1m' AND open_time = %s ORDER BY version"
)


def history(store: CandleStore) -> list[tuple[Any, ...]]:
    return rows(store.connection, HISTORY, (utc(BAR_MS),))


def test_the_view_holds_every_self_of_revised_bars_and_no_bar_that_never_was(
    store: CandleStore, window: SeriesWindow
) -> None:
    store_bars(store, window, candles([BAR_MS - MINUTE_MS]))
    give(store, window, "okx", 99.5)
    assert history(store) == []
    give(store, window, "blofin", 99.75)
    give(store, window, "blofin", 100.0)

    assert history(store) == [
        (1, 99.5, "okx", "native_restored", False),
        (2, 99.75, "blofin", "provider_correction", False),
        (3, 100.0, "blofin", None, True),
    ]
    assert one(store.connection, "SELECT count(*) FROM backfill.candle_history") == 3


def test_a_self_that_was_changed_or_removed_without_a_revision_is_one_of_them(
    store: CandleStore, window: SeriesWindow
) -> None:
    give(store, window, "blofin", 99.0)
    give(store, window, "blofin", 100.0)
    store.connection.execute("UPDATE backfill.candles SET close = 100.5")
    silently_changed = history(store)
    give(store, window, "blofin", 100.75)
    revised_again = history(store)
    store.connection.execute("DELETE FROM backfill.candles")

    first, second = (1, 99.0, "blofin", "provider_correction", False), (2, 100.0, "blofin", "unrecorded", False)
    third = (3, 100.5, "blofin", "provider_correction", False)
    assert silently_changed == [first, second, (3, 100.5, "blofin", None, True)]
    assert revised_again == [first, second, third, (4, 100.75, "blofin", None, True)]
    assert history(store) == [first, second, third, (4, 100.75, "blofin", "removed", False)]


# -- what it costs -------------------------------------------------------------------------------------------


def scanned(plan: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The table and the index conditions of each scan of a plan."""
    if "Relation Name" in plan or "Index Name" in plan:
        yield plan.get("Relation Name", ""), plan.get("Index Cond", "")
    for part in plan.get("Plans", ()):
        yield from scanned(part)


@pytest.mark.parametrize(
    ("name", "tables"),
    [
        ("candles/select_candle", {"candles_y2026m03"}),
        ("candles/select_candle_history", {"candles_y2026m03", "revisions"}),
        ("findings/select_findings_of_candle", {"findings"}),
        ("by_hand/select_quarantine_of_candle", {"quarantine"}),
    ],
)
def test_a_bar_is_found_by_series_and_time_in_an_index(
    store: CandleStore, window: SeriesWindow, name: str, tables: set[str]
) -> None:
    store.prepare(window)
    store.connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")  # the tables are empty
    params = {"series_id": window.series_id, "source_ids": window.source_ids, "symbol": "BTC-USDT", "timeframe": "1m",
              "open_time": utc(BAR_MS)}  # fmt: skip
    text = query_file(name).read_text()

    plan = one(store.connection, f"EXPLAIN (FORMAT json) {text}", params)[0]["Plan"]

    of_bars = [(table, found_by) for table, found_by in scanned(plan) if table in tables]
    assert {table for table, _ in of_bars} == tables
    for _, found_by in of_bars:
        assert "series_id" in found_by
        assert "open_time" in found_by or "start_time" in found_by
