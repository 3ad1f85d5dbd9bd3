"""A universe of more symbols than Airflow maps over: batches of symbols, and every task takes one."""

from __future__ import annotations

from collections import Counter

import pytest

from backfill.jobs.fill.share_work import REQUESTS_A_TASK
from backfill.paper.coins import LIQUID_COINS, made_up_coins
from backfill.paper.synthetic_market import SyntheticMarket

MANY = 1200
NEW_YEAR_2025_MS = 1_735_689_600_000
COINS = [*LIQUID_COINS, *made_up_coins(MANY - len(LIQUID_COINS), as_of_ms=NEW_YEAR_2025_MS)]
TIMEFRAMES = ("1m", "1h")  # a request each
SYMBOLS = [coin.instrument.symbol for coin in COINS]


@pytest.fixture
def market():
    return SyntheticMarket(coins=COINS)


@pytest.fixture
def most_mapped(airflow_home):
    from airflow.configuration import conf

    return conf.getint("core", "max_map_length")


def test_1200_symbols_with_gaps_are_no_more_items_than_airflow_maps_over(db, declare, context, most_mapped):
    from backfill.sensors.gap_detect import GapDetectSensor

    declare(*SYMBOLS)

    found = GapDetectSensor(task_id="detect_gaps", symbols_per_task=1).execute(context)

    assert MANY > most_mapped >= len(found)
    batches = [item.split(",") for item in found]
    assert Counter(len(batch) for batch in batches) == {1: 2 * most_mapped - MANY, 2: MANY - most_mapped}
    assert sorted(symbol for batch in batches for symbol in batch) == sorted(SYMBOLS)

    shared = GapDetectSensor(task_id="detect_gaps").execute(context)
    sizes = Counter(item.count(",") + 1 for item in shared)
    assert sizes == {REQUESTS_A_TASK // len(TIMEFRAMES): MANY * len(TIMEFRAMES) // REQUESTS_A_TASK}


def test_a_run_over_batches_fills_and_validates_every_symbol_of_each(db, declare, fill_gaps_dag, run_dag):
    symbols = ["BTC-USDT", "ETH-USDT", "MOCKAAA-USDT", "MOCKAAB-USDT", "SOL-USDT"]
    declare(*symbols)
    fill_gaps_dag.get_task("detect_gaps").most_items = 2

    run = run_dag({"timeframes": ["1h"]})

    batches = ("BTC-USDT,MOCKAAA-USDT,SOL-USDT", "ETH-USDT,MOCKAAB-USDT")
    assert run.state == "success", run.errors
    assert run.tasks == {
        "detect_gaps": "success",
        **{f"fill_from_blofin {batch}": "success" for batch in batches},
        "detect_leftovers": "success",
        "fill_from_fallback": "skipped",
        **{f"validate {batch}": "success" for batch in batches},
        "report": "success",
        "announce": "success",
    }
    logged = db.execute("SELECT task_id, map_index, symbol, missing_after FROM gap_fill_runs").fetchall()
    assert sorted(tuple(row.values()) for row in logged) == sorted(
        (task, index, symbol, 0)
        for task in ("fill_from_blofin", "validate")
        for index, batch in enumerate(batches)
        for symbol in batch.split(",")
    )
