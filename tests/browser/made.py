"""A small keeper's database with one of everything that a page can show, and with names and errors that are markup."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from backfill.domain.intervals import Interval
from backfill.storage.candle_store import CandleStore, QuarantinedRow
from backfill.storage.findings import Finding
from backfill.storage.series import SeriesWindow
from integration.helpers import DAY_MS, HOUR_MS, MINUTE_MS, NOON_MS, candles, opens, store_bars, wanted_series

MARKUP = "<img src=x>-USDT"
GAP = Interval(NOON_MS - 3 * HOUR_MS, NOON_MS - 3 * HOUR_MS + 10 * MINUTE_MS)
SOURCES = ("blofin", "okx", "bybit")

RUNS = """
INSERT INTO backfill.gap_fill_runs (dag_id, run_id, task_id, series_id, symbol, timeframe, window_start, window_end,
    status, gaps_found, missing_before, missing_after, coverage_before, coverage_after, requests, rows_inserted,
    sources, error, started_at, finished_at)
SELECT 'candles_fill_gaps', 'scheduled__' || to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS+00:00'),
    'fill_from_blofin', %(series_id)s, 'BTC-USDT', '1m', at - interval '1 day', at,
    CASE n %% 7 WHEN 3 THEN 'failed' WHEN 5 THEN 'partial' ELSE 'complete' END, 1, 30,
    CASE n %% 7 WHEN 3 THEN 30 ELSE 0 END, 97.9, 100, 3, 30, '{"blofin": 28, "okx": 2}',
    CASE n %% 7 WHEN 3 THEN %(markup)s END, at, at + interval '4 seconds'
FROM (SELECT n, to_timestamp(%(now_s)s) - n * interval '30 minutes' AS at FROM generate_series(60, 1, -1) AS n) AS made
"""
ATTEMPTS = """
INSERT INTO backfill.source_attempts (source_id, outcome, requests, rows, latency_ms, recorded_at)
SELECT s.id, 'candles', CASE s.name WHEN 'okx' THEN 10 ELSE 40 END, 900, 200,
    to_timestamp(%(now_s)s) - n * interval '1 hour'
FROM backfill.sources AS s, generate_series(0, 47) AS n WHERE s.name IN ('blofin', 'okx')
UNION ALL
SELECT s.id, 'GeoBlocked', 5, 0, NULL, to_timestamp(%(now_s)s) - n * interval '1 hour'
FROM backfill.sources AS s, generate_series(0, 47) AS n WHERE s.name = 'bybit' OR s.name = 'okx' AND n %% 9 = 0
"""
HEALTH = """
INSERT INTO backfill.source_health (source_id, state, last_error, open_until, first_failure_at)
SELECT id, 'open', %(markup)s, to_timestamp(%(now_s)s) + interval '20 minutes',
    to_timestamp(%(now_s)s) - interval '2 days'
FROM backfill.sources WHERE name = 'bybit'
"""
REVISION = """
INSERT INTO backfill.revisions (series_id, open_time, reason, open, high, low, close, volume, source_id,
    new_open, new_high, new_low, new_close, new_volume, new_source_id, note)
SELECT series_id, open_time, 'provider_correction', open, high * 1.01, low, close, volume, source_id,
    open, high, low, close, volume, source_id, 'sent again after it had settled'
FROM backfill.candles WHERE series_id = %(series_id)s AND open_time = to_timestamp(%(now_s)s) - interval '7 hours'
"""
LOG = """
INSERT INTO backfill.instrument_log (instrument_id, instrument, what, old, new)
SELECT id, symbol, 'tick_size_changed', '0.1', '0.01' FROM backfill.instruments ORDER BY id
"""


def wavy(at: Sequence[int], price: float = 100.0) -> pd.DataFrame:
    """Sound bars whose prices look like a market's."""
    frame = candles(at)
    n = frame["open_ms"].to_numpy() / MINUTE_MS
    closes = price * (1 + 0.03 * np.sin(n / 311) + 0.01 * np.sin(n / 37) + 0.002 * np.sin(n * 1.7))
    firsts = np.concatenate([closes[:1], closes[:-1]])
    frame["open"], frame["close"] = firsts, closes
    frame["high"], frame["low"] = np.maximum(firsts, closes) * 1.0007, np.minimum(firsts, closes) * 0.9993
    frame["volume"] = 3 + 2 * np.sin(n * 0.31)
    return frame


def bars_of_gap() -> pd.DataFrame:
    """What the market has where the gap is."""
    return wavy(opens(*GAP))


def make_everything(store: CandleStore) -> SeriesWindow:
    """Series of every state, findings, runs, sources that answer and one that does not; gives BTC-USDT 1m."""
    btc = wanted_series(store, "BTC-USDT", "1m", history_ms=3 * DAY_MS, sources=SOURCES)
    by_okx = Interval(NOON_MS - 10 * HOUR_MS, NOON_MS - 9 * HOUR_MS)
    silent = Interval(NOON_MS - 5 * HOUR_MS, NOON_MS - 5 * HOUR_MS + 20 * MINUTE_MS)
    empty = (by_okx, GAP, silent, Interval(NOON_MS - 10 * MINUTE_MS, NOON_MS))
    bars = [at for at in opens(btc.start_ms, NOON_MS) if not any(start <= at < end for start, end in empty)]
    broken = QuarantinedRow(NOON_MS - 6 * HOUR_MS, "high_is_not_highest", {"o": "101", "h": "99", "note": MARKUP})
    store_bars(store, btc, wavy(bars), absent=[silent], quarantined=[broken])
    store_bars(store, btc, wavy(opens(*by_okx), 100.2), source="okx", absent=[silent])
    for timeframe, step_ms in (("1m", MINUTE_MS), ("1h", HOUR_MS)):
        eth = wanted_series(store, "ETH-USDT", timeframe, history_ms=2 * DAY_MS, sources=SOURCES)
        store_bars(store, eth, wavy(opens(NOON_MS - 2 * DAY_MS, NOON_MS, step_ms), 40))
    wanted_series(store, "YOUNG-USDT", history_ms=DAY_MS, sources=SOURCES, list_ms=NOON_MS - 6 * HOUR_MS)
    strange = wanted_series(store, MARKUP, "1h", history_ms=20 * DAY_MS, sources=SOURCES)
    store_bars(store, strange, wavy(opens(NOON_MS - 12 * DAY_MS, NOON_MS - 2 * HOUR_MS, HOUR_MS)))
    thin = wanted_series(store, "THIN-USDT", "1m", history_ms=DAY_MS, sources=SOURCES)
    traded = [at for at in opens(thin.start_ms, NOON_MS) if math.sin(at / 7e6) > -0.3]
    quiet = [Interval(at, at + MINUTE_MS) for at in opens(thin.start_ms, NOON_MS) if at not in set(traded)]
    for source in SOURCES:
        store_bars(store, thin, wavy(traded if source == "blofin" else []), source=source, absent=quiet)
    _record(store, btc)
    return btc


def _record(store: CandleStore, btc: SeriesWindow) -> None:
    okx, blofin = store.source_id("okx"), store.source_id("blofin")
    at = NOON_MS - 8 * HOUR_MS
    outage = Interval(at - 8 * HOUR_MS, at - 7 * HOUR_MS)
    store.findings.record(
        [
            Finding("cross_source", "disagree", btc.series_id, okx, at, at + MINUTE_MS, "close", 101.2, 103.9, -0.026),
            Finding("source_outage", "disagree", None, blofin, *outage, detail={"series": 12}),
        ]
    )
    values = {"series_id": btc.series_id, "now_s": NOON_MS / 1000, "markup": f"bybit: {MARKUP} timed out"}
    for sql in (RUNS, ATTEMPTS, HEALTH, REVISION, LOG):
        store.connection.execute(sql, values)
