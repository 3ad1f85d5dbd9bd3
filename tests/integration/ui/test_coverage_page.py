"""The page's two endpoints over a real database; the guard has its tests in tests/unit/ui and tests/dags."""

import asyncio
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from backfill.storage import coverage_page
from backfill.storage.database import connect
from backfill.ui.coverage_app import coverage_app

SERIES = """
INSERT INTO backfill.instruments (id, symbol) VALUES (1, 'BTC-USDT'), (2, 'ETH-USDT');
INSERT INTO backfill.series (id, instrument_id, timeframe, wanted, history_ms, held)
SELECT i.id * 10 + n, i.id, timeframe, true, 86400000,
       CASE WHEN i.id = 1 THEN int8multirange(int8range(0, 95617584000000)) ELSE '{}' END
FROM backfill.instruments AS i, unnest('{5m,1m}'::text[]) WITH ORDINALITY AS t (timeframe, n);
"""
RUNS = """
INSERT INTO backfill.gap_fill_runs (dag_id, run_id, task_id, series_id, symbol, timeframe, window_start,
    window_end, gaps_found, missing_before, coverage_before, sources, error)
SELECT 'candles_fill_gaps', 'r', 't', 11, 'BTC-USDT', '5m', '2026-01-01Z', '2026-01-02Z', n, 1, 0,
       '{"blofin": 7}', '<script>'
FROM generate_series(1, 60) AS n;
"""


def rows_of(app: FastAPI, path: str) -> list[dict[str, Any]]:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.get(path)

    answer = asyncio.run(ask())
    assert answer.status_code == 200
    return list(answer.json()["rows"])


@pytest.fixture
def app(database_uri: str) -> FastAPI:
    with psycopg.connect(database_uri) as connection:
        connection.execute(SERIES)
        connection.execute(RUNS)
    return coverage_app(lambda: connect(database_uri), lambda: None)


def test_what_needs_a_look_comes_first_and_short_timeframes_before_long(app: FastAPI) -> None:
    rows = rows_of(app, "/api/coverage")
    assert [(row["symbol"], row["timeframe"], row["status"], row["missing_candles"]) for row in rows] == [
        ("ETH-USDT", "1m", "pending", 1440),
        ("ETH-USDT", "5m", "pending", 288),
        ("BTC-USDT", "5m", "syncing", 0),
        ("BTC-USDT", "1m", "complete", 0),
    ]


def test_the_last_fifty_runs_come_newest_first_with_zoned_times(app: FastAPI) -> None:
    rows = rows_of(app, "/api/runs")
    assert [row["gaps_found"] for row in rows] == list(range(60, 10, -1))
    assert rows[0]["window_start"] == "2026-01-01T00:00:00Z"
    assert rows[0]["sources"] == {"blofin": 7}
    assert rows[0]["error"] == "<script>"


def test_a_query_that_writes_is_refused(database_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = "DELETE FROM backfill.series RETURNING id, %(max_rows)s"
    monkeypatch.setattr(coverage_page, "query", lambda _name: writes)
    app = coverage_app(lambda: connect(database_uri), lambda: None)
    with pytest.raises(AssertionError, match="503"):
        rows_of(app, "/api/coverage")
