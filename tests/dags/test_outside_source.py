"""A source of another package, registered by an entry point, works with the operators as they are."""

from __future__ import annotations

import sys
from urllib.parse import quote

import pytest

from backfill.paper.limits import NO_LIMITS
from backfill.paper.server import PaperExchange
from integration.sources.outside import EXAMPLES, installed

UNIVERSE = """
instruments: [BTC-USDT, ETH-USDT]
sources: [{sources}]
timeframes:
  1m: {{since: 2025-03-02T18:00Z, until: 2025-03-03}}
"""
BY_SOURCE = """
SELECT symbol, source, count(*) AS bars FROM ohlcv GROUP BY 1, 2 ORDER BY 1, 2
"""


@pytest.fixture
def tidemark(market, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(EXAMPLES)
    from tidemark_paper import TidemarkProtocol

    folder = tmp_path / "site-packages"
    folder.mkdir()
    with (
        installed(folder, {"tidemark": "tidemark_source:SOURCE"}),
        PaperExchange(market, TidemarkProtocol(), limits=NO_LIMITS) as running,
    ):
        monkeypatch.setenv("AIRFLOW_CONN_TIDEMARK_DEFAULT", f"generic://{quote(running.url, safe='')}")
        yield running
    for name in ("tidemark_paper", "tidemark_source"):
        sys.modules.pop(name, None)


def held(db):
    return [(row["symbol"], row["source"], row["bars"]) for row in db.execute(BY_SOURCE).fetchall()]


def test_as_primary_of_the_operators(db, context, tidemark, exchange, tmp_path):
    from backfill.operators.primary_candles import PrimaryCandlesOperator
    from backfill.operators.validate import ValidateOperator

    (tmp_path / "universe.yaml").write_text(UNIVERSE.format(sources="tidemark, blofin"))
    PrimaryCandlesOperator(task_id="a_task", symbol="BTC-USDT,ETH-USDT").execute(context)
    assert held(db) == [("BTC-USDT", "tidemark", 360), ("ETH-USDT", "tidemark", 360)]
    assert exchange.requests.total == 0
    ValidateOperator(task_id="a_task", symbol="BTC-USDT").execute(context)
    assert exchange.requests.total > 0  # the other source was compared with it


@pytest.mark.long
def test_in_a_run_of_the_dag_it_fills_what_the_primary_cannot(db, run_dag, tidemark, exchange, tmp_path):
    (tmp_path / "universe.yaml").write_text(UNIVERSE.format(sources="blofin, tidemark"))
    run_dag()
    db.execute("DELETE FROM candles WHERE open_time >= '2025-03-02T22:00Z'")
    exchange.faults.on("geo_block")
    end = run_dag()
    assert end.state == "success"
    assert held(db) == [
        ("BTC-USDT", "blofin", 240),
        ("BTC-USDT", "tidemark", 120),
        ("ETH-USDT", "blofin", 240),
        ("ETH-USDT", "tidemark", 120),
    ]
