"""Closed, whole spans become files, each content once, whatever is killed in between."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from itertools import product
from pathlib import Path

import pytest

from backfill.domain.intervals import Interval
from backfill.domain.timeframes import utc
from backfill.errors import DatabaseError, DecisionRefused, FolderUnusable, SeriesBusy
from backfill.jobs.files.claims import SegmentClaims
from backfill.jobs.files.export_segments import ExportReport, ExportTerms, export_segments
from backfill.jobs.files.folder import LocalFolder
from backfill.jobs.files.verify_segments import verify_segments
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.storage.findings import Finding
from backfill.storage.segments import SegmentLedger
from backfill.storage.series import Selection, SeriesWindow
from integration.helpers import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    NOW_MS,
    candles,
    insert_foreign,
    one,
    rows,
    store_bars,
    wanted_series,
)

PLUGINS = Path(__file__).parents[3] / "plugins"
TODAY_MS = NOW_MS - NOW_MS % DAY_MS
FIRST_DAY_MS = TODAY_MS - 3 * DAY_MS
LEDGER = "SELECT id, path, revision, supersedes, status FROM backfill.segments ORDER BY id"


@pytest.fixture
def window(store: CandleStore) -> SeriesWindow:
    """Three whole days of hours and the beginning of a fourth."""
    series = wanted_series(store, timeframe="1h", history_ms=5 * DAY_MS, sources=("blofin", "okx"))
    store_bars(store, series, candles(range(FIRST_DAY_MS, TODAY_MS + 10 * HOUR_MS, HOUR_MS)))
    return series


def export(store: CandleStore, folder: Path, *, now_ms: int = NOW_MS, **terms: object) -> ExportReport:
    return export_segments(store, LocalFolder(folder), Selection(utc(now_ms)), ExportTerms(**terms))  # type: ignore[arg-type]


def folder_at(where: str) -> LocalFolder:
    return LocalFolder(Path(where))


def watermark(store: CandleStore) -> object:
    return one(store.connection, "SELECT position FROM backfill.watermarks WHERE name = 'ingest:blofin:BTC-USDT:1h'")


def agree(store: CandleStore, folder: Path) -> bool:
    """Ledger and folder name the same files, with the same bytes, and nothing else lies there."""
    report = verify_segments(SegmentLedger(store.connection), folder_at)
    there = {str(path) for path in folder.iterdir()}
    live = {path for (path,) in rows(store.connection, "SELECT path FROM backfill.segments WHERE status <> 'deleted'")}
    return report.problems == [] and there == live


# -- what is written -----------------------------------------------------------------------------------------


def test_closed_whole_days_are_written_and_registered_and_the_watermark_moves(
    store: CandleStore, window: SeriesWindow, tmp_path: Path
) -> None:
    report = export(store, tmp_path)

    day = FIRST_DAY_MS
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"BTC-USDT__1h__t{day + n * DAY_MS}_t{day + (n + 1) * DAY_MS}.csv" for n in range(3)
    ]
    content = (tmp_path / f"BTC-USDT__1h__t{day}_t{day + DAY_MS}.csv").read_bytes()
    lines = content.decode().splitlines()
    assert lines[:2] == [
        "ts_ms,open,high,low,close,volume,quote_volume,source",
        f"{day},100.0,101.0,99.0,100.0,2.5,250.0,blofin",
    ]
    assert report.totals()["rows"] == 72
    sql = "SELECT sha256, rows, start_time, end_time, status, revision FROM backfill.segments ORDER BY id LIMIT 1"
    assert rows(store.connection, sql) == [
        (hashlib.sha256(content).hexdigest(), 24, utc(day), utc(day + DAY_MS), "downloaded", 1)
    ]
    assert watermark(store) == utc(TODAY_MS)


def test_a_second_export_writes_nothing_and_another_folder_gets_no_second_copy(
    store: CandleStore, window: SeriesWindow, tmp_path: Path
) -> None:
    export(store, tmp_path / "a")
    again = export(store, tmp_path / "a", recheck=True)
    elsewhere = export(store, tmp_path / "b")

    assert (again.written, again.unchanged) == ([], 3)
    assert (elsewhere.written, elsewhere.unchanged) == ([], 3)
    assert all(line.startswith("registered already: ") for line in elsewhere.notes)
    assert not (tmp_path / "b").exists()


def test_a_day_with_a_gap_waits_and_holds_the_watermark_back(
    store: CandleStore, window: SeriesWindow, tmp_path: Path
) -> None:
    store.connection.execute("DELETE FROM backfill.candles WHERE open_time = %s", (utc(FIRST_DAY_MS + 30 * HOUR_MS),))

    report = export(store, tmp_path)

    assert [row["start_time"] for row in report.written] == [utc(FIRST_DAY_MS), utc(FIRST_DAY_MS + 2 * DAY_MS)]
    assert report.left == [f"BTC-USDT 1h {utc(FIRST_DAY_MS + DAY_MS):%Y-%m-%d}: 1 bars are missing"]
    assert watermark(store) == utc(FIRST_DAY_MS + DAY_MS)
    store_bars(store, window, candles([FIRST_DAY_MS + 30 * HOUR_MS]))
    assert len(export(store, tmp_path).written) == 1
    assert watermark(store) == utc(TODAY_MS)


def test_an_established_no_trade_bar_is_no_gap(store: CandleStore, tmp_path: Path) -> None:
    series = wanted_series(store, timeframe="1h", history_ms=5 * DAY_MS)
    hole = Interval(FIRST_DAY_MS + HOUR_MS, FIRST_DAY_MS + 2 * HOUR_MS)
    opens = [ms for ms in range(FIRST_DAY_MS, TODAY_MS, HOUR_MS) if ms != hole.start]
    store_bars(store, series, candles(opens), absent=[hole])

    assert [row["rows"] for row in export(store, tmp_path).written] == [23, 24, 24]
    assert watermark(store) == utc(TODAY_MS)


def test_a_day_in_doubt_is_written_only_when_asked_for(
    store: CandleStore, window: SeriesWindow, tmp_path: Path
) -> None:
    at_ms = FIRST_DAY_MS + 5 * HOUR_MS
    store.findings.record(
        [Finding("flat_bars", "suspicious", window.series_id, start_ms=at_ms, end_ms=at_ms + HOUR_MS)]
    )

    assert export(store, tmp_path).written[0]["start_time"] == utc(FIRST_DAY_MS + DAY_MS)
    assert [row["start_time"] for row in export(store, tmp_path, doubtful=True).written] == [utc(FIRST_DAY_MS)]


def test_days_and_months_never_hand_the_same_bar_on_twice(
    store: CandleStore, window: SeriesWindow, tmp_path: Path
) -> None:
    export(store, tmp_path)
    later_ms = TODAY_MS + 40 * DAY_MS

    report = export(store, tmp_path, period="month", now_ms=later_ms)

    assert report.written == []


# -- revisions -----------------------------------------------------------------------------------------------


def test_a_revised_candle_makes_a_new_revision_that_names_the_one_it_supersedes(
    store: CandleStore, window: SeriesWindow, tmp_path: Path
) -> None:
    export(store, tmp_path)
    claims = SegmentClaims(store)
    (taken,) = claims.claim("trainer")
    store_bars(store, window, candles([FIRST_DAY_MS], close=100.5))
    store_bars(store, window, candles([FIRST_DAY_MS + DAY_MS], close=100.5))

    report = export(store, tmp_path)

    assert [row["revision"] for row in report.written] == [2, 2]
    assert [Path(row["path"]).stem[-4:] for row in report.written] == ["__r2", "__r2"]
    first, second, third, fourth, fifth = rows(store.connection, LEDGER)
    assert (first[0], first[4]) == (taken["id"], "processing"), "a consumer works on it: it stays"
    assert (second[4], Path(second[1]).exists()) == ("deleted", False), "nobody had it yet: it is withdrawn"
    assert (fourth[3], fifth[3]) == (first[0], second[0])
    assert agree(store, tmp_path)
    assert [row["id"] for row in claims.claim("trainer", max_segments=9)] == [fourth[0], fifth[0], third[0]]


def test_a_change_past_our_own_writer_is_found_when_all_is_read_again(
    store: CandleStore, window: SeriesWindow, tmp_path: Path
) -> None:
    export(store, tmp_path)
    store.connection.execute("UPDATE backfill.candles SET close = 100.7 WHERE open_time = %s", (utc(FIRST_DAY_MS),))

    assert export(store, tmp_path).written == []
    assert [row["revision"] for row in export(store, tmp_path, recheck=True).written] == [2]


# -- what is killed, full or in the way ----------------------------------------------------------------------

# Dies at the step named by its second argument.
KILLED = """
import os, signal, sys
from pathlib import Path
from backfill.domain.timeframes import utc
from backfill.jobs.files import export_segments as job
from backfill.jobs.files.folder import LocalFolder
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.storage.segments import SegmentLedger
from backfill.storage.series import Selection

uri, folder, step, now_ms = sys.argv[1:]

def die_at(here):
    if here == step:
        os.kill(os.getpid(), signal.SIGKILL)

class Folder(LocalFolder):
    def put(self, name, content):
        if step == "part is half written":
            Path(folder).mkdir(exist_ok=True)
            (Path(folder) / f".{name}.part").write_bytes(content[:100])
            die_at(step)
        super().put(name, content)
        die_at("file is in its place")

    def remove(self, name):
        die_at("before the old file goes")
        super().remove(name)
        die_at("after the old file went")

class Ledger(SegmentLedger):
    def register(self, *args, **kwargs):
        if step == "before the commit":
            with self._connection.transaction():
                super().register(*args, **kwargs)
                die_at(step)
        withdrawn = super().register(*args, **kwargs)
        die_at("after the commit")
        return withdrawn

class Store(CandleStore):
    @property
    def segments(self):
        return Ledger(self.connection)

job.export_segments(Store(connect(uri)), Folder(Path(folder)), Selection(utc(int(now_ms))))
print("lived")
"""


@pytest.mark.parametrize(
    ("step", "is_revision"),
    [
        *product(
            ("part is half written", "file is in its place", "before the commit", "after the commit"), (False, True)
        ),
        ("before the old file goes", True),  # the first export has no old file
        ("after the old file went", True),
    ],
)
def test_killed_at_any_step_a_rerun_ends_as_if_nothing_had_happened(
    store: CandleStore, window: SeriesWindow, tmp_path: Path, database_uri: str, step: str, is_revision: bool
) -> None:
    folder = tmp_path / "out"
    if is_revision:
        export(store, folder)
        store_bars(store, window, candles([FIRST_DAY_MS], close=100.5))

    killed = subprocess.run(
        [sys.executable, "-c", KILLED, database_uri, str(folder), step, str(NOW_MS)],
        env={**os.environ, "PYTHONPATH": str(PLUGINS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr

    export(store, folder)

    assert agree(store, folder)
    ledger = sorted((revision, status) for _, _, revision, _, status in rows(store.connection, LEDGER))
    live = [(1, "downloaded"), (1, "downloaded")]
    assert ledger == ([(1, "deleted"), *live, (2, "downloaded")] if is_revision else [*live, (1, "downloaded")])
    assert export(store, folder).written == []


def test_a_copy_of_a_registered_file_is_deleted_and_a_lost_file_is_written_again(
    store: CandleStore, window: SeriesWindow, tmp_path: Path
) -> None:
    export(store, tmp_path)
    first, second, _ = sorted(tmp_path.iterdir())
    copy = tmp_path / first.name.replace(".csv", "__r7.csv")
    copy.write_bytes(first.read_bytes())
    second.unlink()

    report = export(store, tmp_path)

    assert not copy.exists()
    assert report.restored == 1
    assert agree(store, tmp_path)


def test_verify_names_what_is_changed_gone_or_unknown(store: CandleStore, window: SeriesWindow, tmp_path: Path) -> None:
    export(store, tmp_path)
    first, second, third = sorted(tmp_path.iterdir())
    first.write_text("x")
    second.rename(tmp_path / second.name.replace("BTC", "ETH"))

    report = verify_segments(SegmentLedger(store.connection), folder_at)

    assert report.verified == 1
    assert [(Path(p["path"]).name, p["problem"]) for p in report.problems] == [
        (first.name, "is not what was registered: its SHA-256 is another"),
        (second.name, "is gone; it is registered as downloaded"),
        (second.name.replace("BTC", "ETH"), "is not registered"),
    ]
    assert third.exists()


def test_a_folder_that_cannot_be_written_is_named_and_nothing_is_registered(
    store: CandleStore, window: SeriesWindow, tmp_path: Path
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")

    with pytest.raises(FolderUnusable, match="file"):
        export(store, in_the_way)

    assert rows(store.connection, LEDGER) == []


def test_a_full_disk_is_named_and_leaves_no_part_behind(
    store: CandleStore, window: SeriesWindow, tmp_path: Path
) -> None:
    """A limit on the size of files ends a write as a full disk does."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, before[1]))
    try:
        with pytest.raises(FolderUnusable, match=r"too large|No space"):
            export(store, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)

    assert list(tmp_path.iterdir()) == []
    assert rows(store.connection, LEDGER) == []
    assert len(export(store, tmp_path).written) == 3


def test_one_exporter_a_series(store: CandleStore, window: SeriesWindow, tmp_path: Path, database_uri: str) -> None:
    with (
        CandleStore(connect(database_uri)) as other,
        SegmentLedger(other.connection).exporting(window),
        pytest.raises(SeriesBusy),
    ):
        export(store, tmp_path)


# -- claims --------------------------------------------------------------------------------------------------


def test_eight_consumers_get_each_segment_once(store: CandleStore, tmp_path: Path, database_uri: str) -> None:
    series = wanted_series(store, timeframe="1h", history_ms=60 * DAY_MS)
    store_bars(store, series, candles(range(TODAY_MS - 40 * DAY_MS, TODAY_MS, HOUR_MS)))
    assert len(export(store, tmp_path).written) == 40
    got: list[int] = []

    def consume(name: str) -> None:
        with SegmentClaims.connect(database_uri) as claims:
            while taken := claims.claim(name, max_segments=3):
                got.extend(row["id"] for row in taken)
                claims.finish([row["id"] for row in taken], consumer=name)

    consumers = [threading.Thread(target=consume, args=(f"consumer {n}",)) for n in range(8)]
    for consumer in consumers:
        consumer.start()
    for consumer in consumers:
        consumer.join()

    assert sorted(got) == [number for number, *_ in rows(store.connection, LEDGER)]
    processed = "SELECT count(*) FROM backfill.segments WHERE status = 'processed' AND processed_at >= claimed_at"
    assert one(store.connection, processed) == 40


def test_steps_cannot_be_skipped(store: CandleStore, window: SeriesWindow, tmp_path: Path) -> None:
    export(store, tmp_path)
    claims = SegmentClaims(store)
    (taken,) = claims.claim("a")

    with pytest.raises(DecisionRefused, match="claimed by a, not by b"):
        claims.finish([taken["id"]], consumer="b")
    with pytest.raises(DecisionRefused, match=r"is downloaded(.|\n)*|none"):
        claims.finish([taken["id"], taken["id"] + 1])
    assert claims.ledger.find(ids=[taken["id"]])[0]["status"] == "processing", "all or none"
    with pytest.raises(DatabaseError, match="cannot become processed"), store.page_transaction():
        store.connection.execute("UPDATE backfill.segments SET status = 'processed' WHERE status = 'downloaded'")
    claims.release([taken["id"]])
    (again,) = claims.claim("b")
    assert (again["id"], again["consumer"]) == (taken["id"], "b")


def test_foreign_rows_that_come_later_are_handed_on_as_a_revision(store: CandleStore, tmp_path: Path) -> None:
    series = wanted_series(store, timeframe="1h", history_ms=5 * DAY_MS)
    hole = Interval(FIRST_DAY_MS + HOUR_MS, FIRST_DAY_MS + 2 * HOUR_MS)
    opens = [ms for ms in range(FIRST_DAY_MS, TODAY_MS, HOUR_MS) if ms != hole.start]
    store_bars(store, series, candles(opens), absent=[hole])
    export(store, tmp_path)

    insert_foreign(store.connection, [(series.series_id, utc(hole.start), 1.0, 2.0, 0.5, 1.5, 10.0, 15.0, 1)])

    assert [(row["revision"], row["rows"]) for row in export(store, tmp_path).written] == [(2, 24)]


def test_minutes_of_a_listing_in_the_middle_of_a_day_are_whole_from_there(store: CandleStore, tmp_path: Path) -> None:
    listed_ms = TODAY_MS - DAY_MS + 10 * HOUR_MS + 17 * MINUTE_MS + 12_345
    series = wanted_series(store, history_ms=10 * DAY_MS, list_ms=listed_ms)
    store_bars(store, series, candles(range(listed_ms - listed_ms % MINUTE_MS, TODAY_MS, MINUTE_MS)))

    (row,) = export(store, tmp_path).written

    assert (row["start_time"], row["rows"]) == (utc(TODAY_MS - DAY_MS), (TODAY_MS - listed_ms) // MINUTE_MS + 1)
