"""Four worlds; `.ci/run` plays a thousand by `make simulate`, which tries as many as asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from backfill.local.embedded_postgres import EmbeddedPostgres
from simulation import seeds
from workers import WORKER, made_once

pytestmark = pytest.mark.long

SEEDS = range(4)
_PROVED = """
SELECT FROM backfill.listings AS l JOIN backfill.sources AS s ON s.id = l.source_id
WHERE s.name = 'okx' AND l.status = 'proved'
"""
SCRIPT = Path(seeds.__file__)


@pytest.fixture(scope="session")
def worlds(postgres_server: EmbeddedPostgres) -> Iterator[seeds.Worlds]:
    made_once(postgres_server, seeds.TEMPLATE, lambda: seeds.make_template(postgres_server))
    with closing(seeds.Worlds(postgres_server, f"worlds_{WORKER}")) as worlds:
        yield worlds


@pytest.mark.parametrize("seed", SEEDS)
def test_in_storms_nothing_is_lost_or_invented_and_in_fair_weather_all_becomes_whole(
    worlds: seeds.Worlds, seed: int
) -> None:
    result = worlds.simulate(seed)
    assert result.error is None, f"{result.error}\nagain: python tests/simulation/seeds.py {seed} --trace"


def test_the_same_seed_gives_the_same_trace_after_another_one_and_in_another_process(worlds: seeds.Worlds) -> None:
    seed, once = _eventful(worlds)
    assert once.faults
    worlds.simulate(seed + 1)
    assert worlds.simulate(seed).trace == once.trace
    elsewhere = subprocess.run(
        [sys.executable, str(SCRIPT), str(seed)],
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert elsewhere.stdout.split()[-1] == once.digest


def _eventful(worlds: seeds.Worlds) -> tuple[int, seeds.Simulated]:
    """The first world in which a process dies and a second source gives candles."""
    for seed in range(20, 80):
        result = worlds.simulate(seed)
        if result.deaths and worlds.backends.admin.execute(_PROVED).fetchall():
            return seed, result
    pytest.fail("in sixty worlds no second source has given a candle and no process has died")
