"""Ten days of candles with holes of every kind, for the tests of Airflow's own backfill commands."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg

from backfill.config.connections import SourceConnection
from backfill.config.settings import load_settings
from backfill.jobs.fill.fill_universe import fill_series, windows_to_fill
from backfill.paper.server import PaperExchange
from backfill.sources.runtime import Runtime
from backfill.storage.database import Connection
from backfill.storage.gap_fill_log import RunIdentity
from integration.helpers import one, rows

FIRST_DAY = datetime(2025, 3, 1, tzinfo=timezone.utc)
DAYS = [FIRST_DAY + timedelta(days=number) for number in range(10)]
LAST_DAY, END = DAYS[-1], DAYS[-1] + timedelta(days=1)
SYMBOLS = ("BTC-USDT", "ETH-USDT")
BARS_A_DAY = {"1m": 1440, "1h": 24}
UNIVERSE = f"""
instruments: [{", ".join(SYMBOLS)}]
timeframes:
  1m: {{since: {FIRST_DAY:%Y-%m-%d}, until: {END:%Y-%m-%d}}}
  1h: {{since: {FIRST_DAY:%Y-%m-%d}, until: {END:%Y-%m-%d}}}
sources: [blofin]
"""


def fill_and_tear(database_uri: str, exchange: PaperExchange, universe: Path) -> int:
    """Write the universe file, fill its ten days, and delete some of it on every day; how many candles were lost.

    Single minutes, neighbours, hours and spans over midnight are gone, of one symbol on all days and a whole day among
    them, of the other on three.
    """
    universe.write_text(UNIVERSE)
    settings = load_settings({"BACKFILL_UNIVERSE": str(universe)})
    with Runtime(database_uri, settings, lambda _: SourceConnection(base_url=exchange.url)) as runtime:
        for report in fill_series(runtime, windows_to_fill(runtime), RunIdentity("test", "before", "fill")):
            assert report.status == "complete"
        connection = runtime.store.connection
        connection.execute("TRUNCATE backfill.gap_fill_runs CASCADE")
        lost = sum(_lose(connection, *span) for span in _spans())
    exchange.reset_counts()
    return lost


def _spans() -> list[tuple[str, datetime, timedelta]]:
    """Symbol, start and length of what is deleted."""
    chance = random.Random(11)
    spans = [("BTC-USDT", DAYS[5], timedelta(days=1)), ("ETH-USDT", END - timedelta(hours=1), timedelta(hours=1))]
    for day in DAYS:
        spans += [
            (symbol, day + timedelta(minutes=chance.randrange(1200)), timedelta(minutes=minutes))
            for symbol in (SYMBOLS if day in (DAYS[0], DAYS[5], DAYS[9]) else SYMBOLS[:1])
            for minutes in (1, 2, 45, 180)
        ]
        spans.append(("BTC-USDT", day - timedelta(minutes=20), timedelta(minutes=40)))
    return spans


def _lose(connection: Connection, symbol: str, start: datetime, length: timedelta) -> int:
    deleted = connection.execute(
        "DELETE FROM backfill.candles AS c USING backfill.series AS s, backfill.instruments AS i "
        "WHERE s.id = c.series_id AND i.id = s.instrument_id AND i.symbol = %s AND open_time >= %s AND open_time < %s",
        (symbol, start, start + length),
    )
    return deleted.rowcount


def assert_caught_up(connection: psycopg.Connection[Any], exchange: PaperExchange, lost: int) -> None:
    """All ten days are whole; what was lost has come back once, for as many requests as were planned."""
    held = rows(
        connection,
        "SELECT symbol, timeframe, open_time::date - %s::date, count(*) FROM backfill.ohlcv GROUP BY 1, 2, 3",
        (FIRST_DAY,),
    )
    assert {row[:3]: row[3] for row in held} == {
        (symbol, timeframe, day): bars
        for symbol in SYMBOLS
        for timeframe, bars in BARS_A_DAY.items()
        for day in range(len(DAYS))
    }
    assert rows(connection, "SELECT DISTINCT status FROM backfill.gap_fill_runs") == [("complete",)]
    counted = "SELECT sum(rows_inserted)::int, sum(rows_revised)::int FROM backfill.gap_fill_runs"
    assert rows(connection, counted) == [(lost, 0)]
    asked = one(connection, "SELECT sum(requests)::int FROM backfill.gap_fill_runs")
    assert exchange.requests.by_route["/api/v1/market/candles"] == asked


def days_by_start(connection: psycopg.Connection[Any]) -> list[int]:
    """Of each run that had something to do its day, 0 to 9, in the order in which the runs first asked for a candle."""
    started = rows(
        connection,
        "SELECT min(window_start)::date - %s::date FROM backfill.gap_fill_runs GROUP BY run_id ORDER BY min(id)",
        (FIRST_DAY,),
    )
    return [day for (day,) in started]


def environment(database_uri: str, exchange: PaperExchange, universe: Path) -> Mapping[str, str]:
    """What Airflow's tasks need to find the candles, the exchange and the universe."""
    return {
        "AIRFLOW_CONN_CANDLES_DB": database_uri,
        "BACKFILL_BLOFIN_URL": exchange.url,
        "BACKFILL_UNIVERSE": str(universe),
    }
