"""One bar with all that can be said of it, as fills, checks and people bring it about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backfill.domain.answers import bar_intervals
from backfill.domain.intervals import Interval
from backfill.storage.candle_store import CandleStore, QuarantinedRow
from backfill.storage.findings import Finding
from backfill.storage.gap_fill_log import GapFillLog, RunIdentity
from backfill.storage.series import OpenWork, SeriesWindow
from integration.cli.conftest import Cli
from integration.helpers import DAY_MS, MINUTE_MS, NOON_MS, candles, wanted_series

BAR_MS = NOON_MS - 10 * MINUTE_MS
BAR = "2026-03-10T11:50:00Z"
PAGE = Interval(NOON_MS - 60 * MINUTE_MS, NOON_MS)
LISTED = {
    "venue_symbol": "BTC-USDT-SWAP",
    "instrument_class": "perpetual",
    "price_scale": 0.001,
    "volume_scale": 10.0,
    "status": "proved",
    "reason": None,
    "proved_by": "blofin",
    "overlap_bars": 60,
    "median_close_ratio": 1.0001,
}
BROKEN = [str(BAR_MS), "100", "99", "98", "101"]


def kept_for_years(store: CandleStore) -> SeriesWindow:
    """BTC minutes from three sources; the bar lies in their window, whatever day it is."""
    return wanted_series(store, history_ms=3650 * DAY_MS, sources=("blofin", "okx", "bybit"))


def run_of(store: CandleStore, window: SeriesWindow) -> int:
    return GapFillLog(store.connection).start(
        RunIdentity("candles_fill_gaps", "scheduled__1", "validate"), window, OpenWork(0, 0, 0, [])
    )


def run_said(number: int) -> dict[str, Any]:
    return {"id": number, "dag_id": "candles_fill_gaps", "run_id": "scheduled__1", "task_id": "validate"}


def give(
    store: CandleStore,
    window: SeriesWindow,
    source: str,
    close: float,
    *,
    run: int | None = None,
    settled: bool = False,
    quarantined: Sequence[QuarantinedRow] = (),
) -> None:
    """One bar from a source, as a page of a run brings it."""
    frame = candles([BAR_MS], close=close)
    bars = bar_intervals(frame["open_ms"].to_numpy(), MINUTE_MS)
    store.prepare(window)
    with store.page_transaction():
        store.store_page(
            window, store.source_id(source), frame, bars=bars, settled=bars if settled else (), quarantined=quarantined,
            fill_run_id=run,
        )  # fmt: skip


def list_market(store: CandleStore, source: str = "okx", **told: Any) -> None:
    listing = {**LISTED, **told}
    store.connection.execute(
        f"INSERT INTO backfill.listings (instrument_id, source_id, {', '.join(listing)}) "
        f"SELECT id, %s, {', '.join(['%s'] * len(listing))} FROM backfill.instruments",
        (store.source_id(source), *listing.values()),
    )


def look(window: SeriesWindow, source_id: int | None, verdict: str = "agree", **detail: Any) -> Finding:
    """A page beside another source's."""
    counts = {"compared": 60, "agreed": 60, "only_stored": 0, "only_other": 0, **detail}
    return Finding(
        "cross_source", verdict, window.series_id, source_id, PAGE.start, PAGE.end, detail=counts, status="settled"
    )


def nobody_could(window: SeriesWindow, why: str) -> Finding:
    """A page that no other source could be asked about."""
    return Finding(
        "cross_source", "unverified", window.series_id, None, PAGE.start, PAGE.end, status="settled",
        detail={"why": [why], "nobody_has_it": False},
    )  # fmt: skip


def proof(window: SeriesWindow, primary_id: int, **detail: Any) -> Finding:
    """A page beside the primary source's own 15m bars."""
    counts = {"timeframe": "15m", "equal": 4, "disagree": 0, "no_trade": 0, "lost": 0, **detail}
    return Finding(
        "next_timeframe", "agree", window.series_id, primary_id, PAGE.start, PAGE.end, detail=counts, status="settled"
    )


def doubt(window: SeriesWindow, source_id: int, verdict: str = "disagree", **more: Any) -> Finding:
    """The bar's own close beside another source's."""
    return Finding(
        "cross_source", verdict, window.series_id, source_id, BAR_MS, BAR_MS + MINUTE_MS, field="close", stored=100.0,
        other=102.0, difference=-0.0196, **more,
    )  # fmt: skip


def story(cli: Cli, *options: str, at: str = BAR) -> Any:
    return cli("explain", "BTC-USDT", "1m", at, "--json", *options).document


def verdicts(told: Any, kind: str = "compared") -> dict[str | None, str]:
    return {one["source"]: one["bar"] for one in told[kind]}
