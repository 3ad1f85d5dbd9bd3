"""Files of corrections as people and spreadsheets write them, and every fault by line and column."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backfill.domain.timeframes import DAY_MS, timeframe
from backfill.errors import CorrectionsInvalid
from backfill.jobs.by_hand.correction_file import CorrectionFile, read_corrections
from backfill.storage.series import SeriesWindow

NOON_MS = 1_773_144_000_000  # 2026-03-10T12:00:00Z
HEADER = "symbol,timeframe,open_time,open,high,low,close,volume,quote_volume"
BAR = "1,2,0.5,1.5,10,15"


def series(series_id: int, symbol: str, name: str) -> SeriesWindow:
    """A year of bars that ends at noon."""
    end_ms = timeframe(name).floor(NOON_MS)
    start_ms = timeframe(name).ceil(NOON_MS - 365 * DAY_MS)
    return SeriesWindow(series_id, symbol, name, [1], start_ms, end_ms, None, None)


SERIES = [series(1, "BTC-USDT", "1m"), series(2, "BTC-USDT", "1h"), series(3, "ETH-USDT", "1w")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "corrections.csv"


def read(path: Path, content: str | bytes) -> CorrectionFile:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_corrections(path, SERIES)


def faults(path: Path, content: str | bytes) -> list[str]:
    with pytest.raises(CorrectionsInvalid) as refused:
        read(path, content)
    assert str(path) in str(refused.value)
    return list(refused.value.problems)


def fault_of(path: Path, line: str, header: str = HEADER) -> str:
    """The one fault of a file of one line."""
    (fault,) = faults(path, f"{header}\n{line}\n")
    return fault


# -- what is read --------------------------------------------------------------------------------------------


def test_a_line_is_a_bar_of_its_series(path):
    file = read(path, f"{HEADER}\nBTC-USDT,1m,2026-03-10T11:00Z,{BAR}\nETH-USDT,1w,2026-03-02,1e-8,2,0,3,4,5\n"
                .replace(",0,3,", ",1e-9,2,"))  # fmt: skip
    assert file.tells_quote_volume
    assert file.series == [SERIES[0], SERIES[2]]
    assert file.candles.to_dict("list") == {
        "place": [2, 3],
        "series_id": [1, 3],
        "open_ms": [NOON_MS - 3_600_000, 1_772_409_600_000],
        "open": [1, 1e-8],
        "high": [2, 2],
        "low": [0.5, 1e-9],
        "close": [1.5, 2],
        "volume": [10, 4],
        "quote_volume": [15, 5],
    }
    assert file.candles["open_ms"].dtype == "int64"


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-10T11:00:00Z", "2026-03-10T11:00", "2026-03-10 11:00:00", "2026-03-10T12:00:00+01:00",
        "2026-03-10 11:00:00+00", "2026-03-10T11:00:00.000Z", "1773140400000",
    ],
)  # fmt: skip
def test_a_time_may_be_spelled_as_programs_do(path, text):
    file = read(path, f"{HEADER}\nBTC-USDT,1m,{text},{BAR}\n")
    assert file.candles["open_ms"].tolist() == [1_773_140_400_000]


LINE = f"BTC-USDT,1m,2026-03-10T11:00Z,{BAR}"


@pytest.mark.parametrize(
    "content",
    [
        f"\ufeff{HEADER}\r\n{LINE}\r\n".encode(),
        f"{HEADER}\n{LINE}".encode(),
        f"{HEADER}\r{LINE}\r".encode(),
        f"{HEADER}\n\n{LINE}\n\n\n".encode(),
        ",".join(f'"{cell}"' for cell in HEADER.split(",")).encode() + f'\n"{LINE}"\n'.replace(",", '","').encode(),
        b"volume,quote_volume,symbol,close,low,high,open,open_time,timeframe\n"
        b"10,15,BTC-USDT,1.5,0.5,2,1,2026-03-10T11:00Z,1m\n",
        f"{HEADER.title()}\n{LINE}\n".encode(),
        b"symbol;timeframe;open_time;open;high;low;close;volume;quote_volume\n"
        b"BTC-USDT;1m;2026-03-10T11:00Z;1;2,0;0,5;1,5;10;15\n",
        f"{HEADER}\n{LINE}\n".replace(",", "\t").encode(),
    ],
    ids=[
        "byte order mark and CRLF",
        "no last end of line",
        "CR",
        "blank lines",
        "quotes",
        "another order",
        "capitals",
        "semicolons",
        "tabs",
    ],
)
def test_a_spreadsheets_ways_of_writing_change_nothing(path, content):
    candle = read(path, content).candles.iloc[0]
    assert candle.drop("place").tolist() == [1, 1_773_140_400_000, 1, 2, 0.5, 1.5, 10, 15]


def test_an_empty_volume_is_unknown_and_never_zero(path):
    file = read(
        path, f"{HEADER}\nBTC-USDT,1m,2026-03-10T11:00Z,1,2,0.5,1.5,,\nBTC-USDT,1m,2026-03-10T11:01Z,1,2,1,2,0,0\n"
    )
    assert [math.isnan(volume) for volume in file.candles["volume"]] == [True, False]
    assert [math.isnan(volume) for volume in file.candles["quote_volume"]] == [True, False]


def test_the_quote_volume_may_be_left_out(path):
    file = read(path, f"{HEADER}\n{LINE}\n".replace(",quote_volume", "").replace(",15\n", "\n"))
    assert not file.tells_quote_volume
    assert file.candles["quote_volume"].isna().all()


def test_a_header_alone_corrects_nothing(path):
    file = read(path, HEADER + "\n")
    assert (len(file.candles), file.series) == (0, [])


# -- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (f"DOGE-USDT,1m,2026-03-10T11:00Z,{BAR}", "line 2, symbol: we keep no 'DOGE-USDT'"),
        (f" BTC-USDT,1m,2026-03-10T11:00Z,{BAR}", "line 2, symbol: we keep no ' BTC-USDT'"),
        (
            f"BTC-USDT,1w,2026-03-09,{BAR}",
            "line 2, timeframe: we keep no '1w' of BTC-USDT; kept are 1m, 1h",
        ),
        (f"BTC-USDT,1h,2026-03-10T11:30Z,{BAR}", "line 2, open_time: 2026-03-10T11:30:00Z opens no bar of 1h"),
        (f"ETH-USDT,1w,2026-03-05,{BAR}", "line 2, open_time: 2026-03-05T00:00:00Z opens no bar of 1w"),
        (
            f"BTC-USDT,1m,2026-03-10T11:00:00.000001Z,{BAR}",
            "line 2, open_time: 2026-03-10T11:00:00Z opens no bar of 1m",
        ),
        (f"BTC-USDT,1m,2026-03-10T12:00Z,{BAR}", "line 2, open_time: the bar is not over yet"),
        (f"BTC-USDT,1m,2020-03-10T12:00Z,{BAR}", "line 2, open_time: the series is kept from 2025-03-10T12:00:00Z on"),
        (
            f"BTC-USDT,1m,1773140400,{BAR}",
            "line 2, open_time: '1773140400' is no time; write ISO 8601 such as 2026-01-31T12:00Z, or epoch ms",
        ),
        (
            f"BTC-USDT,1m,,{BAR}",
            "line 2, open_time: '' is no time; write ISO 8601 such as 2026-01-31T12:00Z, or epoch ms",
        ),
        ("BTC-USDT,1m,2026-03-10T11:00Z,,2,1,1,1,1", "line 2, open: '' is no price"),
        ("BTC-USDT,1m,2026-03-10T11:00Z,1,2,0,1,1,1", "line 2, low: '0' is not above 0"),
        ("BTC-USDT,1m,2026-03-10T11:00Z,1,2,1e-400,1,1,1", "line 2, low: '1e-400' is not above 0"),
        ("BTC-USDT,1m,2026-03-10T11:00Z,1,2,1,1,-1,1", "line 2, volume: '-1' is below 0"),
        ("BTC-USDT,1m,2026-03-10T11:00Z,1,2,1,1,1,-1", "line 2, quote_volume: '-1' is below 0"),
        (
            "BTC-USDT,1m,2026-03-10T11:00Z,1,2,1,3,1,1",
            "line 2, high: high_is_not_highest (open 1, high 2, low 1, close 3)",
        ),
        (
            "BTC-USDT,1m,2026-03-10T11:00Z,1,2,1.5,2,1,1",
            "line 2, low: low_is_not_lowest (open 1, high 2, low 1.5, close 2)",
        ),
        (
            "BTC-USDT,1m,2026-03-10T11:00Z,1,2,1,2,1e60,1",
            "line 2, prices and volumes: number_is_absurd (open 1, high 2, low 1, close 2)",
        ),
        ("BTC-USDT,1m,2026-03-10T11:00Z,1,2,1,2,1", "line 2, 8 fields: the header has 9"),
        (f"BTC-USDT,1m,2026-03-10T11:00Z,{BAR},", "line 2, 10 fields: the header has 9"),
        (f'BTC-USDT,1m,"2026-03-10"T11:00Z,{BAR}', "line 2, unreadable: ',' expected after '\"'"),
    ],
)
def test_a_fault_is_told_by_line_and_column(path, line, fault):
    assert fault_of(path, line) == fault


@pytest.mark.parametrize(
    "cell", ["abc", "NaN", "inf", "-Infinity", "1e999", "1_000", " 1", "1,5", "0x10", "1.2.3", "٣", "1 000", "$1", "e"]
)
def test_what_is_no_plain_decimal_number_is_not_guessed_at(path, cell):
    for line, column in ((f'2,"{cell}",1,1,1,1', "high"), (f'1,2,1,1,"{cell}",1', "volume")):
        assert f"line 2, {column}: {cell!r} is no finite decimal number" in faults(
            path, f"{HEADER}\nBTC-USDT,1m,2026-03-10T11:00Z,{line}\n"
        )


def test_every_fault_is_told_in_the_order_of_the_lines(path):
    text = "\n".join([HEADER, LINE, f"A,1m,x,{BAR}", "", "1,2", LINE, "BTC-USDT,1h,2026-03-10T11:00Z,0,a,-1,,b,-1"])
    assert [fault.split(":")[0] for fault in faults(path, text)] == [
        "line 3, open_time",
        "line 3, symbol",
        "line 5, 2 fields",
        "line 6, open_time",
        "line 7, close",
        "line 7, high",
        "line 7, low",
        "line 7, open",
        "line 7, quote_volume",
        "line 7, volume",
    ]


def test_a_bar_named_twice_is_a_fault_even_where_the_lines_agree(path):
    text = "\n".join([HEADER, LINE, LINE.replace("1m", "1h"), LINE.replace("2026-03-10T11:00Z", "1773140400000"), LINE])
    assert faults(path, text) == [
        "line 4, open_time: the bar of line 2 again",
        "line 5, open_time: the bar of line 2 again",
    ]


def test_a_line_is_counted_as_an_editor_counts_it(path):
    text = f'{HEADER}\n"two\nlines",1m,2026-03-10T11:00Z,{BAR}\nDOGE-USDT,1m,2026-03-10T11:00Z,{BAR}\n'
    assert [fault.split(":")[0] for fault in faults(path, text)] == ["line 3, symbol", "line 4, symbol"]


@pytest.mark.parametrize(
    ("header", "problems"),
    [
        ("", [f"line 1, {name}: no such column in the header" for name in HEADER.split(",")[:-1]]),
        (HEADER.replace("low,", ""), ["line 1, low: no such column in the header"]),
        (HEADER.replace("close", "clos"), ["line 1, close: no such column in the header",
                                           "line 1, 'clos' is no column of a correction"]),
        (HEADER + ",source", ["line 1, 'source' is no column of a correction"]),
        (HEADER + ",close", ["line 1, close: the header names it twice"]),
    ],
)  # fmt: skip
def test_a_wrong_header_is_told_with_the_right_one(path, header, problems):
    assert faults(path, f"{header}\n{LINE}\n") == [
        *problems,
        "the columns are symbol, timeframe, open_time, open, high, low, close, volume, quote_volume",
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (HEADER.encode("utf-16"), "save it as CSV in UTF-8"),
        (f"{HEADER}\n".encode() + b"\xff\xfe", "save it as CSV in UTF-8"),
        (b"PK\x03\x04\x14\x00\x06\x00", "no such column"),
        (f'{HEADER}\n{LINE}\n"'.encode() + b"x" * 200_000, "line 3, unreadable: field larger than field limit"),
        (f'{HEADER}\n{LINE}\n"BTC'.encode(), "line 3, unreadable: unexpected end of data"),
        (b'"' + b"x" * 200_000, "line 1, unreadable: field larger than field limit"),
    ],
)
def test_what_is_no_csv_in_utf_8_is_said_to_be_none(path, content, told):
    assert any(told in fault for fault in faults(path, content))


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(CorrectionsInvalid, match="Is a directory"):
        read_corrections(tmp_path, SERIES)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(
            st.sampled_from(
                ["BTC-USDT", "1m", "2026-03-10T11:00Z", "1", "2", "0", "-1", "", "NaN", "1e400", '"', "9" * 30]
            )
            | st.text(max_size=5),
            max_size=10,
        ),
        max_size=6,
    )
)
def test_no_file_is_anything_but_read_or_refused(path, lines):
    text = "\n".join([HEADER, *(",".join(cells) for cells in lines)])
    try:
        candles = read(path, text.encode("utf-8", "surrogatepass")).candles
    except CorrectionsInvalid:
        pass
    else:
        assert (candles[["open", "high", "low", "close"]] > 0).all(axis=None)
        assert (candles["high"] >= candles["low"]).all()


@pytest.mark.long
def test_a_hundred_thousand_lines_and_as_many_faults_are_read_in_seconds(path):
    sound = "\n".join(f"BTC-USDT,1m,{NOON_MS - minute * 60_000},1,2,0.5,1.5,10," for minute in range(1, 100_001))
    began = time.monotonic()
    assert len(read(path, f"{HEADER}\n{sound}").candles) == 100_000
    assert len(faults(path, f"{HEADER}\n{sound}".replace(",1,2,", ",3,2,"))) == 100_000
    assert time.monotonic() - began < 60
