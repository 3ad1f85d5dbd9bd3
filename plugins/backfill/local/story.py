"""What has befallen the demo's market: holes, a bar that was not real, an outage, a coin that one exchange has.

All of it is data, in minutes before the story's end: the schedule's last tick before the demo was first started. What a
window does not reach is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from backfill.config.connections import SourceConnection
from backfill.config.settings import Settings
from backfill.domain.intervals import Interval, difference
from backfill.domain.timeframes import MINUTE_MS, utc
from backfill.jobs.fill.fill_universe import fill_series, windows_to_fill
from backfill.paper.coins import LIQUID_COINS, NICHE_COIN, QUIET_COIN
from backfill.paper.market import BesideIt, PaperMarket, Without
from backfill.paper.server import PaperExchange
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.sources.runtime import Runtime
from backfill.storage.gap_fill_log import RunIdentity

TIMEFRAME = "1m"
NICHE, QUIET = NICHE_COIN.instrument.symbol, QUIET_COIN.instrument.symbol
# One minute in five has no trade.
QUIET_SHARE = 0.2
# Instruments that other exchanges do not list.
ONLY_AT = {NICHE: "bybit"}


class Minutes(NamedTuple):
    """``length`` minutes, the first of them ``ago`` minutes before the story's end."""

    ago: int
    length: int

    def interval(self, as_of_ms: int) -> Interval:
        """The same in epoch ms."""
        start_ms = as_of_ms - self.ago * MINUTE_MS
        return Interval(start_ms, start_ms + self.length * MINUTE_MS)


class BarFault(NamedTuple):
    """A fault of the paper Blofin's bars (paper/faults.py)."""

    name: str
    symbol: str
    minutes: Minutes

    def switch_on(self, exchange: PaperExchange, as_of_ms: int) -> None:
        """Let ``exchange`` have it."""
        start_ms, end_ms = self.minutes.interval(as_of_ms)
        opens_ms = range(start_ms, end_ms, MINUTE_MS)
        exchange.faults.on(self.name, symbol=self.symbol, timeframe=TIMEFRAME, opens_ms=opens_ms)


# What the history lacks that was made before the demo's run.
HOLES = {
    "BTC-USDT": (Minutes(6000, 1), Minutes(4500, 42), Minutes(1800, 300)),
    "ETH-USDT": (Minutes(1560, 90),),
}
# What Blofin got wrong while that history was made, and has put right since.
PAST_FAULTS = (BarFault("flat", "ETH-USDT", Minutes(240, 5)),)
# An outage: Blofin never got these minutes. Its longer bars and the other exchanges have them.
FAULTS = tuple(BarFault("missing", symbol, Minutes(1200, 95)) for symbol in ("SOL-USDT", "XRP-USDT"))


def story_market() -> PaperMarket:
    """The liquid coins and the two of the story."""
    quiet = SyntheticMarket(coins=[QUIET_COIN], quiet_share=QUIET_SHARE, quiet_bars="absent")
    return BesideIt(SyntheticMarket(coins=[*LIQUID_COINS, NICHE_COIN]), quiet)


@dataclass(frozen=True)
class DemoStory:
    """``as_of_ms``: its end. ``stamp``: a file that says that the history has been made.

    ``symbols``: those that the universe keeps at the story's timeframe.
    """

    as_of_ms: int
    stamp: Path
    symbols: Collection[str]

    def market_of(self, venue: str, market: PaperMarket) -> PaperMarket:
        """What ``venue`` lists of ``market``."""
        return Without(market, [symbol for symbol, only_at in ONLY_AT.items() if only_at != venue])

    def begin(self, exchanges: Mapping[str, PaperExchange]) -> None:
        """Switch on what lasts."""
        for fault in FAULTS:
            fault.switch_on(exchanges["blofin"], self.as_of_ms)

    def make_history(self, database: str, settings: Settings, exchanges: Mapping[str, PaperExchange]) -> list[str]:
        """Fill what was held before the demo, the first time only; return the symbols."""
        chosen = [symbol for symbol in HOLES if symbol in self.symbols and symbol in (settings.symbols or HOLES)]
        if self.stamp.exists() or TIMEFRAME not in (settings.timeframes or [TIMEFRAME]):
            return []
        blofin = exchanges["blofin"]
        for fault in PAST_FAULTS:
            fault.switch_on(blofin, self.as_of_ms)
        urls = {name: exchange.url for name, exchange in exchanges.items()}
        with Runtime(database, settings, lambda source: SourceConnection(base_url=urls[source])) as runtime:
            for symbol in chosen:
                self._fill(runtime, symbol)
        for fault in PAST_FAULTS:
            blofin.faults.off(fault.name)
        self.stamp.touch()
        return chosen

    def _fill(self, runtime: Runtime, symbol: str) -> None:
        who = RunIdentity("backfill", f"demo__{utc(self.as_of_ms).isoformat()}", "history")
        holes = [minutes.interval(self.as_of_ms) for minutes in HOLES[symbol]]
        for whole in windows_to_fill(runtime, symbols=[symbol], timeframes=[TIMEFRAME], end=utc(self.as_of_ms)):
            parts = difference([Interval(whole.start_ms, whole.end_ms)], holes)
            for start_ms, end_ms in parts:
                part = whole._replace(start_ms=start_ms, end_ms=end_ms)
                list(fill_series(runtime, [part], who, primary_only=True))
