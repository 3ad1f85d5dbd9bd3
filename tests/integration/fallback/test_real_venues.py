"""Two real venues' candles of one instrument: what the one lacks comes from the other, bar for bar."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from backfill.paper.replayed_market import ReplayedMarket
from backfill.storage.candle_store import CandleStore
from integration.exchange import candles_in_database, punch
from integration.fallback.conftest import Open, Venues
from integration.fallback.fills import listing, run, sources_stored, stand_in_ms, want
from integration.helpers import DAY_MS, ms, rows
from reference import Market

PRIMARY_FILE, OTHER_FILE = "bybit__BTC-USDT-PERP__15m", "binance__BTC-USDT-PERP__15m__20251226"
QUARTER_MS = 15 * 60_000
PRIMARY_ENDS_MS, OTHER_ENDS_MS = ms("2026-01-05T12:15"), ms("2026-01-29T17:00")


def bars(replayed: ReplayedMarket, opens_ms: Sequence[int]) -> list[tuple[float, ...]]:
    chosen = set(opens_ms)
    told = replayed.candles("BTC-USDT", "15m", min(opens_ms), max(opens_ms) + 1).tolist()
    return [bar[:6] for bar in told if bar[0] in chosen]


@pytest.mark.long
def test_holes_punched_in_one_real_venue_are_healed_from_another(
    store: CandleStore, venues: Venues, opened: Open, market: Market, tmp_path: Path
) -> None:
    """Single bars and stretches; some the primary source lacks, some it gave and that were lost while it is down."""
    folder = market.folder([PRIMARY_FILE, OTHER_FILE], tmp_path)
    primary = ReplayedMarket(folder, PRIMARY_FILE, now_ms=PRIMARY_ENDS_MS)
    other = ReplayedMarket(folder, OTHER_FILE, now_ms=OTHER_ENDS_MS)
    clock = {"clock": lambda: PRIMARY_ENDS_MS + QUARTER_MS - 1}
    venues.replace("blofin", opened("blofin", primary, **clock))
    venues.replace("binanceusdm", opened("binanceusdm", other, difference_bp=0, own_volumes=False, **clock))
    window = want(
        store,
        timeframe="15m",
        sources=("blofin", "binanceusdm"),
        history_ms=9 * DAY_MS,
        now_ms=PRIMARY_ENDS_MS + QUARTER_MS - 1,
    )
    grid = range(window.start_ms, window.end_ms, QUARTER_MS)
    lacking = [grid[7], *grid[100:196], grid[300], grid[302]]
    lost = [*grid[500:540], grid[700], grid[-3]]
    venues["blofin"].faults.on("missing", symbol="BTC-USDT", opens_ms=lacking)

    (first,) = run(venues, [window])
    punch(store, window, lost)
    with venues.refusing("blofin"):
        (second,) = run(venues, [window])

    assert first.sources == {"blofin": len(grid) - len(lacking), "binanceusdm": len(lacking)}
    assert (first.status, second.status, second.sources) == ("complete", "complete", {"binanceusdm": len(lost)})
    healed = sorted({*lacking, *lost})
    assert sources_stored(store, window) == {"blofin": len(grid) - len(healed), "binanceusdm": len(healed)}
    assert stand_in_ms(store, window) == len(healed) * QUARTER_MS
    stored = [bar[:6] for bar in candles_in_database(store, window)]
    assert [bar for bar in stored if bar[0] in healed] == bars(other, healed)
    kept = [open_ms for open_ms in grid if open_ms not in healed]
    assert [bar for bar in stored if bar[0] in kept] == bars(primary, kept)
    assert listing(store, "BTC-USDT", "binanceusdm")["proved_by"] == "primary"

    (third,) = run(venues, [window])  # the primary source is back: it has what was lost, and still lacks what it lacked

    assert third.rows_revised == len(lost)
    assert sources_stored(store, window) == {"blofin": len(grid) - len(lacking), "binanceusdm": len(lacking)}
    assert rows(store.connection, "SELECT reason, count(*) FROM backfill.revisions GROUP BY 1") == [
        ("native_restored", len(lost))
    ]
