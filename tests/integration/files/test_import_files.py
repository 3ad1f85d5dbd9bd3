"""Files of candles come in through the checks of an exchange's answers, and each is accounted for."""

from __future__ import annotations

import gzip
import hashlib
import math
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from backfill.domain.intervals import Interval
from backfill.domain.timeframes import utc
from backfill.jobs.files.export_segments import export_segments
from backfill.jobs.files.folder import LocalFolder
from backfill.jobs.files.import_files import ImportReport, ImportTerms, import_files
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.storage.migrations import migrate
from backfill.storage.series import Selection
from integration.helpers import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    NOW_MS,
    assert_held_is_true,
    candles,
    held_ms,
    insert_foreign,
    ms,
    one,
    rows,
    store_bars,
    wanted_series,
    window_of,
)

DAY = ms("2026-03-01")
OHLCV = (
    "SELECT symbol, timeframe, open_time, open, high, low, close, volume, quote_volume, source "
    "FROM backfill.ohlcv ORDER BY 1, 2, 3"
)
BINANCE_HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)


def bring_in(store: CandleStore, where: Path, **terms: object) -> ImportReport:
    return import_files(store, where, 0, ImportTerms(**terms))  # type: ignore[arg-type]


def kline(open_ms: int, *, per_ms: int = 1, close: float = 100.5) -> str:
    """A row of Binance's archive."""
    return f"{open_ms * per_ms},100.0,101.0,99.0,{close},2.5,{(open_ms + 59_999) * per_ms},250.0,7,1.0,100.0,0"


def archive(
    folder: Path, name: str, lines: Iterable[str], *, header: bool = True, checksum: str | None = "right"
) -> Path:
    """A zip of Binance's with its checksum beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(f"{name}.csv", "\n".join([BINANCE_HEADER, *lines] if header else lines) + "\n")
    if checksum is not None:
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if checksum == "right" else checksum
        path.with_name(f"{name}.zip.CHECKSUM").write_text(f"{digest}  {name}.zip\n")
    return path


UM = Path("data/futures/um/daily/klines/BTCUSDT/1m")


# -- there and back ------------------------------------------------------------------------------------------


def test_what_is_exported_and_imported_into_an_empty_database_is_equal_sources_included(
    store: CandleStore, tmp_path: Path, empty_database_uri: str
) -> None:
    hours = wanted_series(store, timeframe="1h", history_ms=5 * DAY_MS, sources=("blofin", "okx"))
    minutes = wanted_series(store, "ETH-USDT", history_ms=2 * DAY_MS, sources=("blofin",))
    today = NOW_MS - NOW_MS % DAY_MS
    store_bars(store, hours, candles(range(today - 3 * DAY_MS, today - DAY_MS, HOUR_MS), close=100.1 + 1e-13))
    store_bars(store, hours, candles(range(today - DAY_MS, today, HOUR_MS), quote_volume=float("nan")), source="okx")
    thin = [open_ms for open_ms in range(today - DAY_MS, today, MINUTE_MS) if open_ms % (7 * MINUTE_MS)]
    lacks = [Interval(open_ms, open_ms + MINUTE_MS) for open_ms in range(today - DAY_MS, today, MINUTE_MS)
             if not open_ms % (7 * MINUTE_MS)]  # fmt: skip
    store_bars(store, minutes, candles(thin), absent=lacks)
    export_segments(store, LocalFolder(tmp_path), Selection(utc(NOW_MS)))

    other = CandleStore(connect(empty_database_uri))
    migrate(other.connection)
    report = bring_in(other, tmp_path)

    assert report.refused == []
    assert report.totals()["files"] == 4
    assert rows(other.connection, OHLCV) == rows(store.connection, OHLCV)
    again = bring_in(other, tmp_path)
    assert (again.totals()["inserted"], again.totals()["revised"]) == (0, 0)
    assert one(other.connection, "SELECT count(*) FROM backfill.imported_files") == 8
    assert_held_is_true(other.connection)
    other.close()


# -- archives ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [True, False])
def test_a_day_of_the_archive_of_futures_comes_in_as_its_own_source(
    store: CandleStore, tmp_path: Path, header: bool
) -> None:
    window = wanted_series(store, history_ms=30 * DAY_MS, sources=("binance_vision", "binanceusdm"))
    lines = [kline(open_ms) for open_ms in range(DAY, DAY + DAY_MS, MINUTE_MS)]
    archive(tmp_path / UM, "BTCUSDT-1m-2026-03-01", lines, header=header)

    (file,) = bring_in(store, tmp_path).files

    assert (file["rows"], file["inserted"], file["missing"], file["notes"]) == (1440, 1440, 0, [])
    assert held_ms(store.connection, window) == [Interval(DAY, DAY + DAY_MS)]
    assert rows(store.connection, OHLCV)[0][3:] == (100.0, 101.0, 99.0, 100.5, 2.5, 250.0, "binance_vision")


def test_spot_in_microseconds_is_read_and_only_where_it_may_stand_in(store: CandleStore, tmp_path: Path) -> None:
    wanted_series(store, history_ms=30 * DAY_MS)
    lines = [kline(open_ms, per_ms=1000) for open_ms in range(DAY, DAY + DAY_MS, MINUTE_MS)]
    archive(tmp_path, "BTCUSDT-1m-2026-03-01", lines, header=False)

    refused = bring_in(store, tmp_path)
    assert (refused.files, "allows no stand-in" in refused.refused[0]) == ([], True)

    store.connection.execute("UPDATE backfill.series SET spot_proxy = true")
    assert bring_in(store, tmp_path).totals()["inserted"] == 1440
    assert {row[-1] for row in rows(store.connection, OHLCV)} == {"binance_vision_spot"}


@pytest.mark.parametrize("checksum", ["0" * 64, "nonsense"])
def test_a_wrong_checksum_is_named_and_the_other_files_are_kept(
    store: CandleStore, tmp_path: Path, checksum: str
) -> None:
    wanted_series(store, history_ms=30 * DAY_MS)
    day = range(DAY, DAY + DAY_MS, MINUTE_MS)
    archive(tmp_path / UM, "BTCUSDT-1m-2026-03-01", map(kline, day), checksum=checksum)
    archive(tmp_path / UM, "BTCUSDT-1m-2026-03-02", [kline(open_ms + DAY_MS) for open_ms in day])

    report = bring_in(store, tmp_path)

    assert report.totals()["inserted"] == 1440
    (line,) = report.refused
    assert "BTCUSDT-1m-2026-03-01.zip: " in line
    assert "fetch both again" in line
    assert len(line.splitlines()) == 1


def test_holes_of_a_file_whose_checksum_is_right_are_named_and_stay_gaps(store: CandleStore, tmp_path: Path) -> None:
    window = wanted_series(store, history_ms=30 * DAY_MS)
    day = [open_ms for open_ms in range(DAY, DAY + DAY_MS, MINUTE_MS) if not 600 <= (open_ms - DAY) / MINUTE_MS < 660]
    archive(tmp_path / UM, "BTCUSDT-1m-2026-03-01", map(kline, day))

    (file,) = bring_in(store, tmp_path).files

    assert file["missing"] == 60
    assert file["notes"] == ["60 bars are missing between 2026-03-01 00:00 and 2026-03-02 00:00"]
    assert len(held_ms(store.connection, window)) == 2
    assert one(store.connection, "SELECT count(*) FROM backfill.absences") == 0


def test_a_broken_row_goes_to_quarantine_and_a_row_of_another_day_too(store: CandleStore, tmp_path: Path) -> None:
    wanted_series(store, history_ms=30 * DAY_MS)
    lines = [kline(open_ms) for open_ms in range(DAY, DAY + DAY_MS, MINUTE_MS)]
    lines[5] = lines[5].replace("101.0", "98.0")
    archive(tmp_path / UM, "BTCUSDT-1m-2026-03-01", [*lines, kline(DAY + DAY_MS)])

    (file,) = bring_in(store, tmp_path).files

    assert (file["inserted"], file["quarantined"], file["missing"]) == (1439, 2, 1)
    sql = "SELECT rule FROM backfill.quarantine ORDER BY rule"
    assert rows(store.connection, sql) == [("high_is_not_highest",), ("open_time_was_not_asked_for",)]


def test_the_archive_and_the_api_disagree_and_that_is_a_finding(store: CandleStore, tmp_path: Path) -> None:
    window = wanted_series(store, history_ms=30 * DAY_MS, sources=("binanceusdm", "binance_vision"))
    day = range(DAY, DAY + DAY_MS, MINUTE_MS)
    store_bars(store, window, candles(day, close=100.5), source="binanceusdm")
    lines = [kline(open_ms, close=100.9 if open_ms == DAY + HOUR_MS else 100.5) for open_ms in day]
    archive(tmp_path / UM, "BTCUSDT-1m-2026-03-01", lines)

    (file,) = bring_in(store, tmp_path).files

    assert (file["disagree"], file["inserted"], file["revised"]) == (1, 0, 0)
    sql = "SELECT start_time, field, stored, other, status FROM backfill.findings"
    assert rows(store.connection, sql) == [(utc(DAY + HOUR_MS), "close", 100.5, 100.9, "open")]


def test_another_instrument_is_refused_by_its_prices(store: CandleStore, tmp_path: Path) -> None:
    window = wanted_series(store, history_ms=30 * DAY_MS)
    store_bars(store, window, candles(range(DAY, DAY + HOUR_MS, MINUTE_MS), close=100.5))
    lines = [kline(open_ms, close=101.0).replace("100.0", "50.0").replace("101.0", "51") .replace("99.0", "49")
             for open_ms in range(DAY, DAY + DAY_MS, MINUTE_MS)]  # fmt: skip
    archive(tmp_path / UM, "BTCUSDT-1m-2026-03-01", lines)

    report = bring_in(store, tmp_path)

    assert "another coin, or another multiplier" in report.refused[0]
    assert one(store.connection, "SELECT count(*) FROM backfill.candles") == 60


def test_a_file_whose_times_are_an_hour_late_is_refused_beside_what_is_held(store: CandleStore, tmp_path: Path) -> None:
    window = wanted_series(store, history_ms=30 * DAY_MS)
    day = range(DAY, DAY + DAY_MS, MINUTE_MS)
    walk = [100 + math.sin(place * place) for place in range(len(day))]
    held = candles(day).assign(close=walk, high=102.0, low=98.0)
    store_bars(store, window, held)
    late = [f"{open_ms + HOUR_MS},100,102,98,{close},2.5\n" for open_ms, close in zip(day, walk, strict=True)]
    market_file(tmp_path, "binance__BTC-USDT-PERP__1m", "".join(late))

    (line,) = bring_in(store, tmp_path).refused

    assert "hour_shift" in line
    assert one(store.connection, "SELECT count(*) FROM backfill.candles") == len(day)


def test_a_thousand_coins_a_contract_are_scaled(store: CandleStore, tmp_path: Path) -> None:
    wanted_series(store, "PEPE-USDT", history_ms=30 * DAY_MS)
    archive(tmp_path / "um", "1000PEPEUSDT-1m-2026-03-01", [kline(DAY)])

    bring_in(store, tmp_path)

    assert rows(store.connection, OHLCV)[0][3:8] == (0.1, 0.101, 0.099, 0.1005, 2500)


# -- other files ---------------------------------------------------------------------------------------------


def market_file(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.csv.gz").write_bytes(gzip.compress(text.encode()))


@pytest.mark.parametrize(
    "text",
    [
        "ts_ms,open,high,low,close,volume\n{ms},1,2,0.5,1.5,10\n",
        "\ufeffTimestamp;Open;High;Low;Close;Volume\n{iso};1,0;2,0;0,5;1,5;10\n",
        "date\topen\thigh\tlow\tclose\tvolume\n{s}\t1\t2\t0.5\t1.5\t10\n",
        "{us},1,2,0.5,1.5,10\n",
        "open_time,close,open,high,low,volume\n{iso},1.5,1,2,0.5,10\n",
    ],
)
def test_a_csv_as_people_write_them_is_read(store: CandleStore, tmp_path: Path, text: str) -> None:
    wanted_series(store, history_ms=30 * DAY_MS)
    times = {"ms": DAY, "iso": utc(DAY).isoformat().replace("+00:00", "Z"), "s": DAY // 1000, "us": DAY * 1000}
    market_file(tmp_path, "binance__BTC-USDT-PERP__1m", text.format(**times))

    assert bring_in(store, tmp_path).refused == []

    assert rows(store.connection, OHLCV) == [
        ("BTC-USDT", "1m", utc(DAY), 1.0, 2.0, 0.5, 1.5, 10.0, None, "binanceusdm")
    ]


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("binance__BTC-USDT-PERP__1m", "ts_ms,open,high,low,volume\n1,1,1,1,1\n", "its header has no close"),
        ("binance__BTC-USDT-PERP__1m", "1,2,3\n", "3 columns instead of 6, 7 or 12"),
        ("binance__BTC-USDT-PERP__1m", "", "it is empty"),
        ("binance__BTC-USDT-PERP__1m", "ts_ms,open,high,low,close,volume\n1772323200000,1,2\n", "it may be cut off"),
        ("binance__BTC-USDT-PERP__7m", "", "its timeframe 7m is none of"),
        ("kraken__BTC-USDT__1m", "1772323200000,1,2,0.5,1.5,10\n", "allows no stand-in"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(
    store: CandleStore, tmp_path: Path, name: str, text: str, why: str
) -> None:
    wanted_series(store, history_ms=30 * DAY_MS)
    market_file(tmp_path, name, text)

    report = bring_in(store, tmp_path)

    assert (report.files, len(report.refused), len(report.refused[0].splitlines())) == ([], 1, 1)
    assert why in report.refused[0]
    assert one(store.connection, "SELECT count(*) FROM backfill.candles") == 0


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nonsense", b"\x1f\x8b\x08\x00 cut"])
@pytest.mark.parametrize("name", ["BTCUSDT-1m-2026-03-01.zip", "binance__BTC-USDT-PERP__1m.csv.gz"])
def test_damaged_archives_are_refused(store: CandleStore, tmp_path: Path, name: str, content: bytes) -> None:
    wanted_series(store, history_ms=30 * DAY_MS)
    (tmp_path / name).write_bytes(content)

    (line,) = bring_in(store, tmp_path).refused

    assert name in line


def test_a_series_that_nothing_wants_keeps_what_is_imported_and_is_wanted_later(
    store: CandleStore, tmp_path: Path
) -> None:
    market_file(tmp_path, "bybit__SOL-USDT-PERP__1h", f"{DAY},1,2,0.5,1.5,10\n")

    bring_in(store, tmp_path)

    assert one(store.connection, "SELECT wanted FROM backfill.series") is False
    store.connection.execute(
        "UPDATE backfill.series SET wanted = true, history_ms = %s, source_ids = %s",
        (30 * DAY_MS, [store.source_id("blofin"), store.source_id("bybit")]),
    )
    assert held_ms(store.connection, window_of(store, "SOL-USDT", "1h")) == [Interval(DAY, DAY + HOUR_MS)]


def test_a_better_sources_candle_is_not_replaced_by_a_file(store: CandleStore, tmp_path: Path) -> None:
    window = wanted_series(store, history_ms=30 * DAY_MS, sources=("blofin", "binanceusdm"))
    insert_foreign(store.connection, [(window.series_id, utc(DAY), 1.0, 2.0, 0.5, 1.4, 9.0, None, 1)])
    market_file(tmp_path, "binance__BTC-USDT-PERP__1m", f"{DAY},1,2,0.5,1.5,10\n{DAY + MINUTE_MS},1,2,0.5,1.5,10\n")

    (file,) = bring_in(store, tmp_path).files

    assert (file["inserted"], file["revised"]) == (1, 0)
    assert [row[-1] for row in rows(store.connection, OHLCV)] == ["blofin", "binanceusdm"]


def test_a_dry_run_writes_nothing(store: CandleStore, tmp_path: Path) -> None:
    market_file(tmp_path, "bybit__SOL-USDT-PERP__1h", f"{DAY},1,2,0.5,1.5,10\n")

    assert bring_in(store, tmp_path, dry_run=True).totals()["rows"] == 1

    assert [one(store.connection, f"SELECT count(*) FROM backfill.{table}") for table in
            ("series", "candles", "imported_files", "instruments")] == [0, 0, 0, 0]  # fmt: skip
