"""Deep history from the archive: whole days and months before pages; what it lacks comes from the exchange's API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backfill.domain.archive_plan import day_of, month_of
from backfill.domain.intervals import Interval
from backfill.domain.timeframes import DAY_MS, HOUR_MS
from backfill.paper.market import Candles
from backfill.storage.candle_store import CandleStore
from integration.archive import PaperArchive
from integration.exchange import candles_in_database
from integration.fallback.conftest import Venues
from integration.fallback.fills import run, sources_stored, want
from integration.helpers import NOW_MS, held_ms, ms, rows

pytestmark = pytest.mark.long

# Sixty days that end with a whole one.
END_MS = NOW_MS - NOW_MS % DAY_MS
START_MS = END_MS - 60 * DAY_MS
JANUARY, FEBRUARY = month_of(ms("2026-01-20")), month_of(ms("2026-02-10"))
DAYS = [day_of(at) for at in range(START_MS, END_MS, DAY_MS)]
MISSING, WRONG, HOLED = day_of(ms("2026-03-05")), day_of(ms("2026-03-03")), day_of(ms("2026-01-15"))
HOLE = Interval(HOLED.span.start + 6 * HOUR_MS, HOLED.span.start + 8 * HOUR_MS)


class BackedVenues(Venues):
    """The exchanges on paper, and the archive."""

    def __getitem__(self, name: str):  # type: ignore[no-untyped-def]
        return self.archive if name == "binance_vision" else super().__getitem__(name)

    archive: PaperArchive


@pytest.fixture
def archive() -> Iterator[PaperArchive]:
    with PaperArchive() as served:
        yield served


@pytest.fixture
def backed(venues: Venues, archive: PaperArchive) -> BackedVenues:
    found = BackedVenues(venues.database_uri, venues.exchanges)
    found.archive = archive
    return found


def bars(venues: Venues, span: Interval) -> Candles:
    """What Binance's own market has."""
    return venues["binanceusdm"].market.candles("BTC-USDT", "1m", span.start, span.end)


def fill_archive(venues: BackedVenues) -> None:
    """January and February as months, the former with a hole; days of March, one missing, one with a wrong checksum."""
    january = bars(venues, Interval(START_MS, JANUARY.span.end))
    holed = january[(january["open_ms"] < HOLE.start) | (january["open_ms"] >= HOLE.end)]
    venues.archive.put("BTCUSDT", "1m", JANUARY, holed)
    venues.archive.put("BTCUSDT", "1m", FEBRUARY, bars(venues, FEBRUARY.span))
    for day in DAYS:
        if day.span.start >= FEBRUARY.span.end and day != MISSING:
            checksum = "0" * 64 if day == WRONG else None
            venues.archive.put("BTCUSDT", "1m", day, bars(venues, day.span), checksum=checksum)


def test_sixty_days_come_by_the_fewest_requests_and_equal_the_truth(store: CandleStore, backed: BackedVenues) -> None:
    fill_archive(backed)
    window = want(store, sources=("binance_vision", "binanceusdm"), history_ms=60 * DAY_MS + NOW_MS % DAY_MS)
    store.connection.execute("UPDATE backfill.series SET until = to_timestamp(%s)", (END_MS / 1000,))
    window = window._replace(start_ms=START_MS, end_ms=END_MS)

    (report,) = run(backed, [window])

    assert report.missing_after == 0, report.error
    assert held_ms(store.connection, window) == [Interval(START_MS, END_MS)]
    truth = [tuple(bar) for bar in bars(backed, Interval(START_MS, END_MS)).tolist()]
    assert [bar[:6] for bar in candles_in_database(store, window)] == [bar[:6] for bar in truth]
    by_api = sources_stored(store, window)["binanceusdm"]
    assert by_api == 2 * 1440 + 120, "the missing day, the one with a wrong checksum, and the hole"
    candles = [path for path in backed.archive.asked if "klines/BTCUSDT/1m" in path]
    # Two months; that March is not out as one; its nine days, of which one is missing and one is fetched again.
    assert len(candles) == 2 * 2 + 1 + 2 * 9 - 1 + 2
    assert len(candles) < 87 / 3, "as pages of 1000 rows it were 87"


def test_what_is_wrong_with_the_archive_is_named(store: CandleStore, backed: BackedVenues) -> None:
    fill_archive(backed)
    window = want(store, sources=("binance_vision", "binanceusdm"), history_ms=60 * DAY_MS + NOW_MS % DAY_MS)
    window = window._replace(start_ms=ms("2026-03-01"), end_ms=END_MS)

    (report,) = run(backed, [window])

    assert "BTCUSDT-1m-2026-03-05.zip: the archive has no such file" in (report.error or "")
    assert "BTCUSDT-1m-2026-03-03.zip: its SHA-256 is not that of its .CHECKSUM" in (report.error or "")
    sql = "SELECT DISTINCT outcome FROM backfill.source_attempts ORDER BY 1"
    assert ("FileNotServed",) in rows(store.connection, sql)


@pytest.mark.parametrize("sources", [("binanceusdm", "binance_vision"), ("binance_vision", "binanceusdm")])
def test_neither_needs_the_other_to_be_reachable(
    store: CandleStore, backed: BackedVenues, sources: tuple[str, str]
) -> None:
    """The archive has no bar of the window, or lists no market at all: the API's are taken all the same."""
    backed.archive.put("BTCUSDT", "1m", FEBRUARY, bars(backed, FEBRUARY.span)[:0])
    window = want(store, sources=sources, history_ms=HOUR_MS)

    (report,) = run(backed, [window])

    assert report.missing_after == 0, report.error
    assert sources_stored(store, window) == {"binanceusdm": 60}


def test_the_archive_fills_what_the_api_cannot(store: CandleStore, backed: BackedVenues) -> None:
    fill_archive(backed)
    window = want(store, sources=("binanceusdm", "binance_vision"), history_ms=60 * DAY_MS + NOW_MS % DAY_MS)
    window = window._replace(start_ms=FEBRUARY.span.start, end_ms=FEBRUARY.span.end)

    with backed.refusing("binanceusdm"):
        run(backed, [window])

    assert sources_stored(store, window) == {"binance_vision": 28 * 1440}
