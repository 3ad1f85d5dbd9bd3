"""`make up` without a network: every source's error, before Airflow is started."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from backfill.config.settings import load_settings
from backfill.errors import LocalStackFailed
from backfill.local.reachable import require_a_source
from backfill.paper.server import PaperExchange
from backfill.paper.synthetic_market import SyntheticMarket

NO_ONE = "http://127.0.0.1:9"  # the discard port: no one listens


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    universe = tmp_path / "universe.yaml"
    universe.write_text("instruments: [BTC-USDT]\ntimeframes: {1h: 1d}\nsources: [blofin, okx, bybit]\n")
    monkeypatch.setenv("BACKFILL_UNIVERSE", str(universe))
    for source in ("BLOFIN", "OKX", "BYBIT"):
        monkeypatch.setenv(f"BACKFILL_{source}_URL", NO_ONE)
    return []


def test_where_no_source_answers_each_ones_error_is_named(database_uri: str, notes: list[str]) -> None:
    with pytest.raises(LocalStackFailed) as failed:
        require_a_source(database_uri, load_settings(), notes.append)
    first, *errors = str(failed.value).splitlines()
    assert first == "no source answers, so there is nothing to fill from:"
    assert [error.split(":")[0].strip() for error in errors] == ["blofin", "okx", "bybit"]
    assert all("check network, proxy and BACKFILL_" in error for error in errors)
    assert notes == []


def test_a_source_that_fails_is_asked_once(database_uri: str, notes: list[str]) -> None:
    with PaperExchange(SyntheticMarket()) as blofin, pytest.MonkeyPatch.context() as patch:
        patch.setenv("BACKFILL_BLOFIN_URL", blofin.url)
        blofin.faults.on("error_503")
        with pytest.raises(LocalStackFailed, match="503"):
            require_a_source(database_uri, load_settings(), notes.append)
        assert blofin.requests.total == 1


def test_one_source_that_answers_is_enough_and_the_others_are_noted(
    database_uri: str, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with PaperExchange(SyntheticMarket()) as blofin:
        monkeypatch.setenv("BACKFILL_BLOFIN_URL", blofin.url)
        require_a_source(database_uri, load_settings(), notes.append)
    assert [note.split(":")[0] for note in notes] == ["okx", "bybit"]


def test_sources_are_asked_where_the_stack_will_ask_them(database_uri: str, notes: list[str]) -> None:
    with PaperExchange(SyntheticMarket()) as blofin:
        given = {**os.environ, "BACKFILL_BLOFIN_URL": blofin.url}
        require_a_source(database_uri, load_settings(given), notes.append, given)
        assert blofin.requests.total == 1
    assert [note.split(":")[0] for note in notes] == ["okx", "bybit"]
