"""The 30-minute job over one universe file of a coin, two stocks and a pair, each from a source of its own."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from backfill.config.connections import SourceConnection
from backfill.config.settings import Settings
from backfill.config.universe_file import load_universe
from backfill.domain.timeframes import utc
from backfill.domain.venues import venue
from backfill.jobs.fill.fill_universe import fill_series, left_for_others
from backfill.jobs.fill.find_gaps import find_gaps
from backfill.jobs.universe.declare_universe import declare_universe
from backfill.paper.blofin_protocol import BlofinProtocol
from backfill.paper.given_market import GivenMarket
from backfill.paper.limits import NO_LIMITS
from backfill.paper.oanda_protocol import OandaProtocol
from backfill.paper.polygon_protocol import PolygonProtocol
from backfill.paper.server import PaperExchange
from backfill.sources.runtime import Runtime
from backfill.storage.candle_store import CandleStore
from backfill.storage.gap_fill_log import RunIdentity
from backfill.storage.series import Selection
from integration.helpers import DAY_MS, HOUR_MS, MINUTE_MS, ms, rows, stored_ms, window_of
from integration.jobs.hours import fewest_pages, given, opens_of
from waiting import PATIENCE_S

UNIVERSE = """
instruments: [BTC-USDT, AAPL, VOD, EUR_USD]
sources: [blofin]
classes:
  coins: {{kind: crypto, instruments: [BTC-USDT], sources: [blofin]}}
  new_york: {{kind: stocks, instruments: [AAPL], sources: [polygon], calendar: XNYS}}
  london: {{kind: stocks, instruments: [VOD], sources: [polygon], calendar: XLON}}
  pairs: {{kind: forex, instruments: [EUR_USD], sources: [oanda, polygon]}}
timeframes:
  1m: {{since: {since}, until: {until}}}
"""
SOURCE_OF = {"BTC-USDT": "blofin", "AAPL": "polygon", "VOD": "polygon", "EUR_USD": "oanda"}
PROTOCOLS = {"blofin": BlofinProtocol, "polygon": PolygonProtocol, "oanda": OandaProtocol}
KEY = "paper-key-31f0"
# Of the job's half hours (UTC) those in which something may go wrong: usually one in all markets' sessions and one
# after them; about the change of a clock, a holiday or a half day those between two possible openings or closings.
USUAL, BUSY = (15.0, 22.5), (7.5, 14.0, 16.0, 18.5, 20.5, 21.5)
BUSY_DAYS = ("2025-10-24", "2025-10-27", "2025-11-03", "2025-11-27", "2025-11-28")


@pytest.mark.parametrize(
    ("since", "until"),
    # Europe's clocks change on 26 October, New York's on 2 November; Thanksgiving is followed by a half day.
    [("2025-10-24", "2025-11-07"), ("2025-11-26", "2025-11-29")],
    ids=["both-clocks", "holiday-and-half-day"],
)
@pytest.mark.long
def test_the_job_keeps_all_of_them_whole_with_the_fewest_requests(
    store: CandleStore, database_uri: str, tmp_path: Path, since: str, until: str
) -> None:
    file = tmp_path / "universe.yaml"
    file.write_text(UNIVERSE.format(since=since, until=until), encoding="utf-8")
    declare_universe(store, load_universe(file))
    exist = {symbol: opens_of(symbol, "1m", since, until) for symbol in SOURCE_OF}
    market = GivenMarket({(symbol, "1m"): given(opens_ms) for symbol, opens_ms in exist.items()})
    now_ms, fewest = 0, 0
    who = RunIdentity("candles_fill_gaps", "run", "fill")
    with ExitStack() as opened:
        papers = {
            name: opened.enter_context(PaperExchange(market, made(), limits=NO_LIMITS, clock=lambda: now_ms))
            for name, made in PROTOCOLS.items()
        }

        def connection_of(source: str) -> SourceConnection:
            return SourceConnection(base_url=papers[source].url, api_secret=KEY, timeout_s=PATIENCE_S)

        runtime = opened.enter_context(Runtime(database_uri, Settings(), connection_of))
        filled_ms = dict.fromkeys(SOURCE_OF, 0)
        busy_ms = [ms(day) for day in BUSY_DAYS]
        days = range(ms(since), ms(until) + 1, DAY_MS)
        for now_ms in [
            day_ms + round(hour * HOUR_MS) + 10_000
            for day_ms in days
            for hour in (BUSY if day_ms in busy_ms else USUAL)
        ]:
            which = Selection(utc(now_ms), settle_ms=5000)
            closed_ms = now_ms - 5000 - MINUTE_MS
            due = {
                symbol: [open_ms for open_ms in opens_ms if filled_ms[symbol] <= open_ms <= closed_ms]
                for symbol, opens_ms in exist.items()
            }
            found = {gap.symbol: gap.missing_candles for gap in find_gaps(store, which)}
            assert found == {symbol: len(bars) for symbol, bars in due.items() if bars}, utc(now_ms)
            # Polygon's five a minute are those of real time.
            store.connection.execute("UPDATE backfill.rate_budgets SET recent_ms = '{}'")

            windows = [window for window in store.windows(which) if window.symbol in found]
            reports = list(fill_series(runtime, windows, who, primary_only=True))

            assert left_for_others(store, windows, who).windows == []
            assert {report.symbol: report.missing_before for report in reports} == found
            for symbol in found:
                fewest += fewest_pages(due[symbol], MINUTE_MS, venue(SOURCE_OF[symbol]).rows("1m"))
                filled_ms[symbol] = due[symbol][-1] + MINUTE_MS

    for symbol, opens_ms in exist.items():
        assert stored_ms(store.connection, window_of(store, symbol, "1m", now_ms=now_ms)) == opens_ms
    assert sum(paper.requests.total for paper in papers.values()) == fewest
    assert rows(store.connection, "SELECT * FROM backfill.absences") == []
