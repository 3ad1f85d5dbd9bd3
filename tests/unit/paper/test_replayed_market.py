"""Files of candles, moved to end now: what is in them is served, and nothing else."""

from __future__ import annotations

import gzip
import json
from fnmatch import fnmatchcase

import numpy as np
import pytest

from backfill.domain.timeframes import DAY_MS, HOUR_MS, MINUTE_MS, TIMEFRAMES
from backfill.errors import ConfigurationError
from backfill.paper.blofin_protocol import BlofinProtocol
from backfill.paper.replayed_market import ReplayedMarket

NOW_MS = 1_763_601_435_000  # 2025-11-20T01:17:15Z
THEN_MS = 1_700_006_400_000  # 2023-11-15T00:00Z


def write(directory, stem, rows, header="ts_ms,open,high,low,close,volume"):
    lines = [header, *(row if isinstance(row, str) else ",".join(map(str, row)) for row in rows)]
    (directory / f"{stem}.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))


def bars(name, count, start_ms=THEN_MS, price=100.0, leave_out=()):
    step_ms = TIMEFRAMES[name].step_ms
    return [
        (start_ms + k * step_ms, price + k, price + k + 2, price + k - 1, price + k + 1, 10 + k)
        for k in range(count)
        if k not in leave_out
    ]


def all_candles(market, symbol, timeframe):
    return market.candles(symbol, timeframe, 0, 2 * NOW_MS)


def test_the_last_bar_is_the_newest_closed_one_and_no_newer_one_ever_comes(tmp_path):
    write(tmp_path, "binance__BTC-USDT-PERP__1m__x", bars("1m", 100))
    market = ReplayedMarket(tmp_path, now_ms=NOW_MS)
    assert market.frozen_end_ms("BTC-USDT", "1m") == NOW_MS - NOW_MS % MINUTE_MS
    later = market.candles("BTC-USDT", "1m", 0, 2 * NOW_MS, now_ms=NOW_MS + DAY_MS)
    assert len(later) == 100
    assert later["open_ms"][-1] + MINUTE_MS == market.frozen_end_ms("BTC-USDT", "1m")


def test_rows_are_the_files_own_and_holes_stay_holes(tmp_path):
    rows = bars("5m", 50, leave_out={0, 7, 8, 30})
    write(tmp_path, "okx__XRP-ETH__5m", rows)
    market = ReplayedMarket(tmp_path, now_ms=NOW_MS)
    served = all_candles(market, "XRP-ETH", "5m")
    shift_ms = market.series["XRP-ETH", "5m"].shift_ms
    assert shift_ms % (5 * MINUTE_MS) == 0
    assert [tuple(row)[:6] for row in served.tolist()] == [(row[0] + shift_ms, *row[1:]) for row in rows]
    assert np.isnan(served["quote_volume"]).all()


def test_unsorted_and_doubled_rows_are_served_sorted_and_once_the_last_one_winning(tmp_path):
    first, second, third = bars("1m", 3)
    corrected = (*second[:5], 99)
    write(tmp_path, "x__A-USDT-PERP__1m", [third, second, first, corrected])
    served = all_candles(ReplayedMarket(tmp_path, now_ms=NOW_MS), "A-USDT", "1m")
    assert served["base_volume"].tolist() == [first[5], 99, third[5]]
    assert np.diff(served["open_ms"]).tolist() == [MINUTE_MS, MINUTE_MS]


def test_timeframes_that_end_together_are_moved_together_and_stay_on_their_grids(tmp_path):
    write(tmp_path, "x__A-USDT-PERP__1m", bars("1m", 24 * 60 + 20))
    write(tmp_path, "x__A-USDT-PERP__1h", bars("1h", 24))
    write(tmp_path, "x__A-USDT-PERP__1w", bars("1w", 3, start_ms=THEN_MS - 16 * DAY_MS))
    market = ReplayedMarket(tmp_path, now_ms=NOW_MS)
    shifts = {timeframe: series.shift_ms for (_, timeframe), series in market.series.items()}
    assert len(set(shifts.values())) == 1
    for (_, timeframe), series in market.series.items():
        assert all(TIMEFRAMES[timeframe].is_on_grid(ms) for ms in series.candles["open_ms"].tolist())
        assert series.end_ms <= NOW_MS


def test_files_that_end_at_other_times_are_moved_each_to_now(tmp_path):
    write(tmp_path, "x__A-USDT-PERP__1m", bars("1m", 60))
    write(tmp_path, "x__A-USDT-PERP__1h", bars("1h", 60))
    market = ReplayedMarket(tmp_path, now_ms=NOW_MS)
    assert market.frozen_end_ms("A-USDT", "1m") == NOW_MS - NOW_MS % MINUTE_MS
    assert market.frozen_end_ms("A-USDT", "1h") == NOW_MS - NOW_MS % HOUR_MS


def test_of_several_files_for_a_series_one_serves_it_by_rule(tmp_path):
    write(tmp_path, "a__A-USDT__1m", bars("1m", 900))
    write(tmp_path, "b__A-USDT-PERP__1m__old", bars("1m", 500))
    write(tmp_path, "c__A-USDT-PERP__1m__short", bars("1m", 10, start_ms=THEN_MS + 590 * MINUTE_MS))
    write(tmp_path, "d__A-USDT-PERP__1m__long", bars("1m", 600))
    write(tmp_path, "e__A-USDT-PERP__1m__long", bars("1m", 600))
    chosen = {}
    for left_out in ("none", "d", "e", "c"):
        stems = [path.name.removesuffix(".csv.gz") for path in tmp_path.iterdir() if path.name[0] != left_out]
        market = ReplayedMarket(tmp_path, select=stems, now_ms=NOW_MS)
        chosen[left_out] = market.series["A-USDT", "1m"].file.stem[0]
    assert chosen == {"none": "d", "d": "e", "e": "d", "c": "d"}
    assert ReplayedMarket(tmp_path, select=["a__*", "b__*"]).series["A-USDT", "1m"].file.stem[0] == "b"
    assert ReplayedMarket(tmp_path, select=["b__*", "c__*"]).series["A-USDT", "1m"].file.stem[0] == "c"


def test_a_timeframe_without_a_file_is_empty_never_made_from_another(tmp_path):
    write(tmp_path, "x__A-USDT-PERP__1m", bars("1m", 600))
    market = ReplayedMarket(tmp_path, now_ms=NOW_MS)
    assert len(all_candles(market, "A-USDT", "5m")) == 0
    with pytest.raises(ConfigurationError, match="A-USDT 5m"):
        market.frozen_end_ms("A-USDT", "5m")


def test_an_instrument_is_listed_at_its_first_bar_with_units_that_fit_its_rows(tmp_path):
    start_ms = THEN_MS - 10 * MINUTE_MS
    write(tmp_path, "x__A-USDT-PERP__1m", [(start_ms, 0.00012, 0.00013, 0.00011, 0.00012, 2.5)])
    write(tmp_path, "x__A-USDT-PERP__5m", bars("5m", 1, start_ms=start_ms, price=1))
    market = ReplayedMarket(tmp_path, now_ms=NOW_MS)
    instrument = market.instrument("A-USDT")
    assert instrument.listed_ms == min(s.candles["open_ms"][0] for s in market.series.values())
    assert (str(instrument.tick_size), str(instrument.lot_size)) == ("0.00001", "0.1")


def test_with_time_left_ahead_the_last_bars_appear_as_they_close(tmp_path):
    write(tmp_path, "x__A-USDT-PERP__1m", bars("1m", 30))
    market = ReplayedMarket(tmp_path, now_ms=NOW_MS, ahead_ms=10 * MINUTE_MS)
    seen = [len(market.candles("A-USDT", "1m", 0, 2 * NOW_MS, NOW_MS + k * MINUTE_MS)) for k in (0, 1, 10, 99)]
    assert seen == [20, 21, 30, 30]


def test_blofins_protocol_serves_replayed_rows_with_an_empty_quote_volume(tmp_path):
    write(tmp_path, "x__A-USDT-PERP__1m", bars("1m", 3000, price=0.00001, leave_out=set(range(100, 2500))))
    market = ReplayedMarket(tmp_path, now_ms=NOW_MS)
    query = {"instId": "A-USDT", "limit": "1440"}
    answer = BlofinProtocol().answer(market, "GET", "/api/v1/market/candles", query, NOW_MS)
    page = json.loads(answer.body)["data"]
    assert len(page) == 600  # a page reaches across the hole
    assert page[0][1:] == ["2999.00001", "3001.00001", "2998.00001", "3000.00001", "3009", "3009", "", "1"]
    assert page[-1][1] == "0.00001"


@pytest.mark.parametrize(
    ("stem", "why"),
    [
        ("BTC-USDT__1m", "is called"),
        ("x__BTCUSDT__1m", "is called"),
        ("x__btc-usdt__1m", "is called"),
        ("x__BTC-USDT-PERP__7m", "7m"),
        ("x__BTC-USDT-PERP__1M", "1M"),
    ],
)
def test_a_name_that_does_not_parse_is_an_error_that_names_the_file(tmp_path, stem, why):
    write(tmp_path, stem, bars("1m", 2))
    with pytest.raises(ConfigurationError, match=f"{stem}.csv.gz.*{why}"):
        ReplayedMarket(tmp_path)


@pytest.mark.parametrize(
    "broken_row",
    [
        "1700006460000,1,2",
        "1700006460000,1,2,1,1,5,6",
        "1700006460000,one,2,1,1,5",
        "1700006460000,1,2,1,1,",
        "1700006460000,nan,2,1,1,5",
        "1700006460000,1,inf,1,1,5",
        "1700006460001,1,2,1,1,5",
        "1700006460000.5,1,2,1,1,5",
    ],
)
def test_a_broken_row_is_an_error_that_names_file_and_line(tmp_path, broken_row):
    write(tmp_path, "x__A-USDT-PERP__1m", [*bars("1m", 1), broken_row])
    with pytest.raises(ConfigurationError, match=r"x__A-USDT-PERP__1m\.csv\.gz: .*\b(row|line) \d"):
        ReplayedMarket(tmp_path)


def test_files_that_cannot_be_read_at_all_are_named(tmp_path):
    path = tmp_path / "x__A-USDT-PERP__1m.csv.gz"
    write(tmp_path, "x__A-USDT-PERP__1m", bars("1m", 50))
    whole = path.read_bytes()
    for content, why in (
        (b"not gzip", "cannot be read"),
        (whole[:-20], "cannot be read"),
        (gzip.compress(b"time,o,h,l,c,v\n1,1,1,1,1,1"), "first line"),
        (gzip.compress(b"ts_ms,open,high,low,close,volume\n"), "no candles"),
        (gzip.compress(b"ts_ms,open,high,low,close,volume\n0,1,1,1,1,1,1"), "7 columns"),
    ):
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match=rf"x__A-USDT-PERP__1m\.csv\.gz: .*{why}"):
            ReplayedMarket(tmp_path)


def test_a_folder_or_a_selection_that_finds_nothing_is_an_error(tmp_path):
    with pytest.raises(ConfigurationError, match="no such directory"):
        ReplayedMarket(tmp_path / "nowhere")
    with pytest.raises(ConfigurationError, match=r"'\*'"):
        ReplayedMarket(tmp_path)
    write(tmp_path, "x__A-USDT-PERP__1m", bars("1m", 2))
    with pytest.raises(ConfigurationError, match="'y__"):
        ReplayedMarket(tmp_path, select=["x__*", "y__*"])


@pytest.mark.long
def test_real_candles_are_replayed_row_by_row(market, tmp_path):
    names = [name for name in market.names() if fnmatchcase(name, "binance__*-PERP__1m__*")]
    folder = market.folder(names, tmp_path)
    market = ReplayedMarket(folder, select="binance__*-PERP__1m__*", now_ms=NOW_MS)
    end_ms = NOW_MS - NOW_MS % MINUTE_MS
    assert {symbol for symbol, _ in market.series} == {f"{c}-USDT" for c in ("ALGO", "BTC", "DOT", "ETH", "FIL")}
    for (symbol, timeframe), series in market.series.items():
        assert market.frozen_end_ms(symbol, timeframe) == end_ms
        source = gzip.decompress(series.file.path.read_bytes()).decode().splitlines()[1:]
        served = all_candles(market, symbol, timeframe)
        assert len(served) == len(source)
        for line, bar in list(zip(source, served.tolist(), strict=True))[::97]:
            ts_ms, *numbers = line.split(",")
            assert bar[0] == int(ts_ms) + series.shift_ms
            assert list(bar[1:6]) == [float(number) for number in numbers]
