"""A source that is only compared with judges what is stored, and is never stored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backfill.config.connections import SourceConnection
from backfill.domain.timeframes import DAY_MS, utc
from backfill.paper.coingecko_protocol import CoinGeckoProtocol
from backfill.paper.limits import NO_LIMITS
from backfill.paper.server import PaperExchange
from backfill.sources.runtime import Runtime
from backfill.storage.candle_store import CandleStore
from backfill.testing.source_contract import KEY
from integration.fallback.conftest import MARKET, Venues, open_exchange
from integration.fallback.fills import run, sources_stored, want
from integration.helpers import NOW_MS
from integration.sources.outside import installed
from integration.validation.validations import findings, page_checks, validate
from waiting import PATIENCE_S

# CoinGecko on the day of these tests, whose reach does not go by the day on which they run.
GECKO = """
from dataclasses import replace

from backfill.exchanges.coingecko import COINGECKO, CoinGeckoClient
from backfill.exchanges.source_contract import RegisteredSource

SOURCE = RegisteredSource(
    replace(COINGECKO, source="gecko", reach_days={}),
    CoinGeckoClient,
)
"""


class Keyed(Venues):
    """Sources whose connections have a key."""

    def open_runtime(self) -> Runtime:
        def connection_of(source: str) -> SourceConnection:
            return SourceConnection(base_url=self[source].url, api_secret=KEY, timeout_s=PATIENCE_S)

        return Runtime(self.database_uri, self.settings, connection_of)


@pytest.fixture
def venues(tmp_path: Path, database_uri: str) -> Iterator[Keyed]:
    (tmp_path / "gecko_on_paper.py").write_text(GECKO)
    with (
        installed(tmp_path, {"gecko": "gecko_on_paper:SOURCE"}),
        open_exchange("blofin") as blofin,
        PaperExchange(MARKET, CoinGeckoProtocol(), limits=NO_LIMITS, clock=lambda: NOW_MS) as gecko,
    ):
        yield Keyed(database_uri, {"blofin": blofin, "gecko": gecko})


def test_it_judges_what_is_stored_and_is_never_stored(store: CandleStore, venues: Keyed) -> None:
    window = want(store, timeframe="4h", sources=("blofin", "gecko"), history_ms=10 * DAY_MS)
    run(venues, [window])
    assert sources_stored(store, window) == {"blofin": 60}
    assert venues.asked("gecko") == 0

    (report,) = validate(venues, [window])

    assert report.counts["compared"] == report.counts["agreed"] > 0
    assert {verdict for verdict, _, _ in page_checks(store, "cross_source")} == {"agree"}
    assert findings(store) == []
    assert sources_stored(store, window) == {"blofin": 60}


def test_it_finds_a_bar_that_somebody_spoilt_and_the_primary_mends_it(store: CandleStore, venues: Keyed) -> None:
    window = want(store, timeframe="4h", sources=("blofin", "gecko"), history_ms=10 * DAY_MS)
    run(venues, [window])
    store.connection.execute(
        "UPDATE backfill.candles SET close = close * 1.05, high = high * 1.05 WHERE open_time = %s",
        (utc(window.end_ms - 20 * 4 * 3600_000),),
    )
    (report,) = validate(venues, [window])
    assert (report.problems, venues.asked("gecko") > 0) == ([], True)
    (change,) = store.connection.execute("SELECT reason FROM backfill.revisions ORDER BY id DESC LIMIT 1").fetchone()
    assert change == "provider_correction"
