"""What the doctor says of the sources that the universe names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backfill.errors import ExchangeUnreachable, RateLimited
from backfill.paper.coins import LIQUID_COINS
from backfill.paper.server import PaperExchange
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.paper.venues import paper_exchange
from backfill.storage.candle_store import CandleStore
from backfill.storage.source_health import SourceHealth
from integration.cli.conftest import Cli

UNIVERSE = "instruments: [BTC-USDT]\ntimeframes: {1m: 12h}\nsources: [blofin, okx, bybit, binanceusdm]\n"


@pytest.fixture(scope="module")
def served() -> Iterator[dict[str, PaperExchange]]:
    market = SyntheticMarket(coins=LIQUID_COINS[:3])
    with (
        paper_exchange("okx", market) as okx,
        paper_exchange("bybit", market) as bybit,
        paper_exchange("binanceusdm", market) as binance,
    ):
        yield {"okx": okx, "bybit": bybit, "binanceusdm": binance}


@pytest.fixture
def venues(
    served: dict[str, PaperExchange], environment: pytest.MonkeyPatch, tmp_path: Path
) -> dict[str, PaperExchange]:
    """The venues of the universe on paper, all well."""
    (tmp_path / "universe.yaml").write_text(UNIVERSE)
    for name, venue in served.items():
        environment.setenv(f"BACKFILL_{name.upper()}_URL", venue.url)
        venue.faults.off()
        venue.reset_limits()
        venue.reset_counts()
    return served


def checks(cli: Cli) -> tuple[int, dict[str, dict[str, Any]]]:
    said = cli("doctor", "--json")
    return said.code, {one["check"]: one for one in said.document["checks"]}


def test_every_source_of_the_universe_is_asked_and_says_how_many_markets_it_lists(
    cli: Cli, venues: dict[str, PaperExchange]
) -> None:
    code, seen = checks(cli)

    assert code == 0
    assert {check: seen[check]["state"] for check in seen} == dict.fromkeys(seen, "ok")
    assert [seen[f"source {name}"]["detail"] for name in venues] == [
        "answers, lists 6 markets",  # perpetuals and spot
        "answers, lists 6 markets",
        "answers, lists 3 markets",
    ]
    assert "source blofin" in seen
    assert [venue.requests.total for venue in venues.values()] == [2, 3, 1]


def test_sources_that_fail_are_asked_once_and_one_that_does_not_answer_sets_the_exit_code(
    cli: Cli, venues: dict[str, PaperExchange], environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("BACKFILL_HTTP_TIMEOUT_S", "0.3")
    venues["okx"].faults.on("hanging")
    venues["bybit"].faults.on("firewall")
    venues["binanceusdm"].faults.on("restricted")

    code, seen = checks(cli)

    assert code == 1
    okx, bybit, binance = (seen[f"source {name}"] for name in venues)
    assert (okx["state"], bybit["state"], binance["state"]) == ("failed", "warning", "warning")
    assert "BACKFILL_OKX_URL" in okx["advice"]
    assert "wait" in bybit["advice"]
    assert "`proxies` of the connection binanceusdm_default" in binance["advice"]
    assert [venue.requests.total for venue in venues.values()] == [1, 1, 1]


def test_a_source_that_is_paused_is_not_asked_and_one_with_an_open_breaker_is_told(
    cli: Cli, venues: dict[str, PaperExchange], store: CandleStore
) -> None:
    store.rate_budget("bybit", ((9, 60),), spacing_ms=0).pause(RateLimited("bybit", "the firewall", 600))
    for _ in range(3):
        SourceHealth(store.connection, "a run").has_failed(store.source_id("okx"), ExchangeUnreachable("okx", "gone"))
    venues["bybit"].reset_counts()

    code, seen = checks(cli)

    assert code == 0
    assert "paused for all processes" in seen["source bybit"]["detail"]
    assert venues["bybit"].requests.total == 0
    assert seen["source okx"]["state"] == "warning"
    assert "lists 6 markets; it is skipped, since earlier: okx: gone" in seen["source okx"]["detail"]


def test_a_primary_that_does_not_answer_and_a_connection_that_cannot_be_used_are_failures(
    cli: Cli, venues: dict[str, PaperExchange], environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "universe.yaml").write_text(UNIVERSE.replace("[blofin, okx,", "[okx, blofin,"))
    venues["okx"].faults.on("restricted")
    environment.delenv("BACKFILL_BYBIT_URL")
    environment.setenv("AIRFLOW_CONN_BYBIT_DEFAULT", "http://127.0.0.1:1/?timeout_s=soon")

    code, seen = checks(cli)

    assert code == 1
    assert (seen["source okx"]["state"], seen["source bybit"]["state"]) == ("failed", "failed")
    assert seen["source bybit"]["advice"] == "mend the connection bybit_default"


def test_blofins_own_proxy_goes_before_the_environments(
    cli: Cli, venues: dict[str, PaperExchange], environment: pytest.MonkeyPatch, live_exchange: PaperExchange
) -> None:
    """Plain http is sent to a proxy as it is, so the paper exchange can play one."""
    environment.delenv("BACKFILL_BLOFIN_URL")
    environment.setenv("AIRFLOW_CONN_BLOFIN_DEFAULT", f"http://blofin.invalid/?proxies={live_exchange.url}")
    for name in ("http_proxy", "HTTP_PROXY"):
        environment.setenv(name, "http://127.0.0.1:9")

    _, seen = checks(cli)

    assert seen["source blofin"]["state"] == "ok"
