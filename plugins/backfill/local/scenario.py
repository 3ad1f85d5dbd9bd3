"""What a local stack plays: market, universe and database.

The time of the first demo is kept in ``demo`` (or ``replay-...``) under ``home``. A demo that runs once ends its
windows at the schedule's last tick before it, so that a second one finds nothing to fetch. One that stays up is live:
its windows have no end, and Airflow keeps to its schedule. Each market has its own database: made-up candles never lie
beside real ones.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml

from backfill.config.settings import Settings
from backfill.config.universe_file import declared_series, load_universe
from backfill.domain.timeframes import HOUR_MS, MINUTE_MS, TIMEFRAMES
from backfill.errors import ConfigurationError
from backfill.local.story import NICHE, ONLY_AT, QUIET, TIMEFRAME, DemoStory, story_market
from backfill.paper.market import PaperMarket
from backfill.paper.replayed_market import ReplayedMarket

# No other sources than these and Blofin: no request leaves the machine.
STAND_INS = ("okx", "bybit", "binanceusdm")
# candles_fill_gaps is due every half hour.
TICK_MS = 30 * MINUTE_MS
OF_OTHER_DATABASES = ("BACKFILL_DB", "AIRFLOW_CONN_CANDLES_DB")
NOT_ON_PAPER = ("BACKFILL_DB", "BACKFILL_PROFILE", "BACKFILL_LOOKBACK_HOURS")

Span = tuple[int, int | None]  # [start_ms, end_ms); without an end: as long as the demo is up
Spans = dict[str, dict[str, Span]]  # symbol → timeframe → span


@dataclass(frozen=True)
class Scenario:
    """``market`` None: the real exchanges. ``environment``: for every process.

    ``sources``: those on paper, best first; the first is Blofin. ``is_live``: the clock goes on, and Airflow keeps to
    its schedule. ``story``: what has befallen the market.
    """

    title: str
    database: str
    market: PaperMarket | None = None
    sources: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    is_live: bool = False
    story: DemoStory | None = None

    def inherited(self, environ: Mapping[str, str]) -> dict[str, str]:
        """``environ`` without settings of other databases; on paper, of exchanges and universes."""
        kept = {name: value for name, value in environ.items() if name not in OF_OTHER_DATABASES}
        if self.market is None:
            return kept
        return {name: value for name, value in kept.items() if not _is_replaced_on_paper(name)}

    def dropped(self) -> tuple[str, ...]:
        """Settings that never hold beside this scenario."""
        return OF_OTHER_DATABASES if self.market is None else (*OF_OTHER_DATABASES, *NOT_ON_PAPER)


def live_scenario() -> Scenario:
    """The real exchanges and the configured universe."""
    return Scenario("the real exchanges", "candles", is_live=True)


def synthetic_scenario(settings: Settings, *, live: bool = False) -> Scenario:
    """A made-up market and its story, with the universe's windows of the first demo, without an end while ``live``."""
    folder = settings.home / "demo"
    as_of_ms = _remembered_ms(folder / "as_of") // TICK_MS * TICK_MS
    settle_ms = round(settings.settle_s * 1000)
    market = story_market()
    spans: Spans = {}
    for wish in declared_series(
        load_universe(settings.universe, settings.profile),
        settings.lookback_hours,
        [instrument.symbol for instrument in market.instruments if instrument.symbol not in (NICHE, QUIET)],
    ):
        end_ms = None if live else TIMEFRAMES[wish.timeframe].last_closed_end(as_of_ms, settle_ms)
        ends_ms = [moment for moment in (end_ms, wish.until_ms) if moment is not None]
        span = (wish.window_start_ms(as_of_ms, settle_ms), min(ends_ms, default=None))
        spans.setdefault(wish.symbol, {})[wish.timeframe] = span
    minutes = {symbol: of_symbol[TIMEFRAME] for symbol, of_symbol in spans.items() if TIMEFRAME in of_symbol}
    if minutes:
        start_ms, end_ms = min(minutes.values(), key=lambda span: span[0])
        spans[NICHE] = {TIMEFRAME: (start_ms, end_ms)}
        # Whole hours: its last minutes are proved silent once the longer bar has closed.
        spans[QUIET] = {TIMEFRAME: (start_ms, end_ms and end_ms // HOUR_MS * HOUR_MS)}
    story = DemoStory(as_of_ms, folder / "history", [*minutes])
    when = "live" if live else f"as of {_iso(as_of_ms)}"
    scenario = _on_paper(
        f"a synthetic market, {when}: every price in it is made up",
        "candles_demo",
        market,
        ("blofin", *STAND_INS),
        folder,
        spans,
        {symbol: [source] for symbol, source in ONLY_AT.items() if symbol in spans},
    )
    return replace(scenario, is_live=live, story=story)


def replay_scenario(settings: Settings, directory: Path, select: str | Sequence[str] = "*") -> Scenario:
    """Real candles from files, shifted to end at their first replay."""
    name = hashlib.sha256(repr((str(directory.resolve()), select)).encode()).hexdigest()[:8]
    folder = settings.home / f"replay-{name}"
    if not directory.is_dir():
        raise ConfigurationError(f"no folder of candles to replay: {directory}")
    now_ms = _remembered_ms(folder / "as_of") - round(settings.settle_s * 1000)
    market = ReplayedMarket(directory, select, now_ms=now_ms)
    spans: Spans = {}
    for (symbol, timeframe), series in market.series.items():
        spans.setdefault(symbol, {})[timeframe] = (int(series.candles["open_ms"][0]), series.end_ms)
    title = f"real candles from {directory}, moved in time to end at {_iso(now_ms)}"
    return _on_paper(title, f"candles_replay_{name}", market, ("blofin",), folder, spans)


def universe_of(
    spans: Mapping[str, Mapping[str, Span]],
    sources: Sequence[str] = ("blofin",),
    own_sources: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """A universe file's content for exactly these spans; ``own_sources``: of some symbols."""
    names = [name for name in TIMEFRAMES if any(name in of_symbol for of_symbol in spans.values())]
    rules = {
        symbol: {name: _rule(of_symbol[name]) if name in of_symbol else False for name in names}
        for symbol, of_symbol in spans.items()
    }
    general = max(rules.values(), key=list(rules.values()).count)
    usual = {name: rule for name, rule in general.items() if rule}
    overrides: dict[str, dict[str, Any]] = {
        symbol: {"timeframes": {name: rule for name, rule in own.items() if rule or name in usual}}
        for symbol, own in rules.items()
        if own != general
    }
    for symbol, of_symbol in (own_sources or {}).items():
        overrides.setdefault(symbol, {})["sources"] = [*of_symbol]
    universe: dict[str, Any] = {"instruments": list(spans), "timeframes": usual, "sources": [*sources]}
    return universe | ({"overrides": overrides} if overrides else {})


def _on_paper(
    title: str,
    database: str,
    market: PaperMarket,
    sources: tuple[str, ...],
    folder: Path,
    spans: Spans,
    own_sources: Mapping[str, Sequence[str]] | None = None,
) -> Scenario:
    universe = folder / "universe.yaml"
    content = yaml.safe_dump(universe_of(spans, sources, own_sources), sort_keys=False, default_flow_style=None)
    universe.write_text(f"# Rewritten at each start: {title}.\n{content}", encoding="utf-8")
    return Scenario(title, database, market, sources, {"BACKFILL_UNIVERSE": str(universe)})


def _rule(span: Span) -> dict[str, str]:
    start_ms, end_ms = span
    return {"since": _iso(start_ms)} | ({} if end_ms is None else {"until": _iso(end_ms)})


def _remembered_ms(file: Path) -> int:
    """The time in ``file``; the first time, this minute's start."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_iso(time.time_ns() // 1_000_000 // MINUTE_MS * MINUTE_MS) + "\n")
    return round(datetime.fromisoformat(file.read_text().strip().replace("Z", "+00:00")).timestamp() * 1000)


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, tz=timezone.utc).isoformat().replace("+00:00", "Z")


def _is_replaced_on_paper(name: str) -> bool:
    is_url = name.startswith("BACKFILL_") and name.endswith("_URL")
    return is_url or name.startswith("AIRFLOW_CONN_") or name in NOT_ON_PAPER
