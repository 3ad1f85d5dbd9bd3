"""The universe file: what it asks for, and how it says what is wrong with it."""

from __future__ import annotations

import re
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.config.resources import include_dir
from backfill.config.settings import load_settings
from backfill.config.source_names import SOURCES
from backfill.config.universe_file import SeriesWish, declared_series, load_universe, select_series
from backfill.config.universe_model import UNIT_MS, parse_duration
from backfill.domain.timeframes import DAY_MS, HOUR_MS, MINUTE_MS, TIMEFRAMES
from backfill.errors import ConfigurationError, UniverseInvalid, UnknownSymbol, UnknownTimeframe

WEEK_MS = 7 * DAY_MS
NOW_MS = 1_763_601_435_678  # 2025-11-20T01:17:15.678Z, a Thursday
DEFAULT = include_dir() / "universe.yaml"

# A page of text each, for ten billion entries.
ALIAS_BOMB = "a0: &a0 [lol]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 11))
MERGE_BOMB = "a0: &a0 {b: 1}\n" + "".join(
    f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 11)
)

moments = st.integers(min_value=WEEK_MS, max_value=4_000_000_000_000)
timeframes = st.sampled_from(list(TIMEFRAMES))
spans = st.integers(min_value=WEEK_MS, max_value=40 * 365 * DAY_MS)


@pytest.fixture
def universe(tmp_path):
    """Write a file, read it as a universe."""

    def load(text: str, profile: str | None = None):
        path = tmp_path / "universe.yaml"
        path.write_text(text, encoding="utf-8")
        return load_universe(path, profile)

    return load


@pytest.fixture
def problems(universe):
    """Write a file, read what is wrong with it."""

    def load(text: str, profile: str | None = None) -> tuple[str, ...]:
        with pytest.raises(UniverseInvalid) as caught:
            universe(text, profile)
        return caught.value.problems

    return load


def wish(timeframe="1m", history_ms=WEEK_MS, since_ms=None, until_ms=None, retention_ms=None, symbol="BTC-USDT"):
    return SeriesWish(symbol, timeframe, history_ms, since_ms, until_ms, retention_ms, ("blofin",), spot_proxy=False)


def utc_ms(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=timezone.utc).timestamp() * 1000)


MINIMAL = "instruments: [BTC-USDT]\ntimeframes: {1m: 7d}\n"


def with_timeframe(rule: str) -> str:
    return f"instruments: [BTC-USDT]\ntimeframes:\n  1h: {rule}\n"


# What a file asks for


def test_the_default_file_keeps_a_week_of_minutes_of_32_perpetuals_with_blofin_as_their_home():
    series = load_universe(DEFAULT).series()
    assert len({one.symbol for one in series}) == len(series) == 32
    assert {(one.timeframe, one.history_ms, one.sources, one.spot_proxy) for one in series} == {
        ("1m", WEEK_MS, ("blofin", "okx", "bybit", "binanceusdm"), False)
    }


def test_what_the_default_file_shows_in_comments_is_valid_too(universe):
    text = DEFAULT.read_text(encoding="utf-8")
    text = re.sub(r"^# (exclude:|classes:|validation:|overrides:|  .*)", r"\1", text, flags=re.MULTILINE)
    text = re.sub(r"^timeframes:\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^# (?=A duration is)", "timeframes:\n# ", text, flags=re.MULTILINE)
    text = re.sub(r"^(  (?:5m|1h|4h|1d): \{.*?\}).*$", r"\1", text, flags=re.MULTILINE)
    asked = {(one.symbol, one.timeframe): one for one in universe(text).series()}
    assert ("TON-USDT", "1m") not in asked
    assert asked["ETH-USDT", "5m"].retention_ms == 180 * DAY_MS
    assert asked["ETH-USDT", "1h"].since_ms == utc_ms(2024, 1, 1)
    assert asked["ETH-USDT", "4h"].until_ms == utc_ms(2024, 1, 1)
    assert asked["BTC-USDT", "1d"].since_ms == utc_ms(2023, 1, 12)
    assert asked["BTC-USDT", "1m"].sources == ("blofin", "okx", "kraken")
    assert asked["WIF-USDT", "1m"].history_ms == DAY_MS
    assert asked["PEPE-USDT", "1m"].sources == ("blofin", "bybit", "binanceusdm")


def test_the_deep_history_profile_asks_for_every_listed_instrument():
    deep = load_universe(DEFAULT, "deep_history")
    assert [(one.symbol, one.timeframe, one.history_ms // DAY_MS) for one in deep.series(["A-USDT", "B-USDT"])] == [
        (symbol, timeframe, days)
        for symbol in ("A-USDT", "B-USDT")
        for timeframe, days in (("15m", 14), ("1h", 250), ("4h", 250), ("1d", 250))
    ]


def test_series_come_in_the_files_order_of_instruments_and_from_small_to_large_timeframes(universe):
    series = universe("instruments: [SOL-USDT, BTC-USDT]\ntimeframes: {1d: 9d, 1m: 7d, 4h: 8d}").series()
    assert [(one.symbol, one.timeframe) for one in series] == [
        (symbol, timeframe) for symbol in ("SOL-USDT", "BTC-USDT") for timeframe in ("1m", "4h", "1d")
    ]


def test_an_override_replaces_adds_and_switches_off_for_its_instrument_alone(universe):
    series = universe(
        """
        instruments: [BTC-USDT, ETH-USDT]
        timeframes: {1m: {history: 7d, retention: 30d}, 5m: 7d, 1h: 7d}
        overrides:
          BTC-USDT:
            timeframes: {1m: 60d, 5m: false, 1h: null, 1d: {since: 2024-02-03}}
            sources: [okx, blofin]
        """
    ).series()
    kept = {(o.symbol, o.timeframe): (o.history_ms, o.since_ms, o.retention_ms, o.sources) for o in series}
    assert kept == {
        ("BTC-USDT", "1m"): (60 * DAY_MS, None, None, ("okx", "blofin")),
        ("BTC-USDT", "1d"): (None, utc_ms(2024, 2, 3), None, ("okx", "blofin")),
        ("ETH-USDT", "1m"): (WEEK_MS, None, 30 * DAY_MS, ("blofin",)),
        ("ETH-USDT", "5m"): (WEEK_MS, None, None, ("blofin",)),
        ("ETH-USDT", "1h"): (WEEK_MS, None, None, ("blofin",)),
    }


def test_sources_that_have_spot_only_are_asked_only_where_a_stand_in_is_allowed(universe):
    series = universe(
        """
        instruments: [BTC-USDT, ETH-USDT]
        timeframes: {1m: 7d}
        sources: [blofin, okx, kraken]
        overrides: {ETH-USDT: {spot_proxy: true}}
        """
    ).series()
    assert [(one.sources, one.spot_proxy) for one in series] == [
        (("blofin", "okx"), False),
        (("blofin", "okx", "kraken"), True),
    ]


def test_the_narrowest_order_of_sources_that_is_named_holds(universe):
    asked = universe(
        """
        instruments: [BTC-USDT, ETH-USDT, DOGE-USDT, WIF-USDT, SOL-USDT]
        timeframes: {1m: 7d, 1h: {history: 7d, sources: [okx]}, 1d: {history: 7d, sources: [gate]}}
        sources: [blofin, bybit]
        classes:
          majors: {instruments: [BTC-USDT, ETH-USDT], sources: [binanceusdm, blofin]}
          memes: {instruments: [DOGE-USDT, WIF-USDT], sources: [mexc]}
        overrides:
          ETH-USDT: {sources: [bitget], timeframes: {1h: {history: 9d, sources: [hyperliquid]}}}
          WIF-USDT: {timeframes: {1d: 9d}}
        """
    )
    sources = {(one.symbol, one.timeframe): " ".join(one.sources) for one in asked.series()}
    assert {symbol: [sources[symbol, name] for name in ("1m", "1h", "1d")] for symbol, _ in sources} == {
        "BTC-USDT": ["binanceusdm blofin", "okx", "gate"],
        "ETH-USDT": ["bitget", "hyperliquid", "bitget"],
        "DOGE-USDT": ["mexc", "okx", "gate"],
        "WIF-USDT": ["mexc", "okx", "mexc"],  # its own rule of 1d replaces the general one whole
        "SOL-USDT": ["blofin bybit", "okx", "gate"],
    }
    assert asked.all_sources() == ["binanceusdm", "blofin", "okx", "gate", "bitget", "hyperliquid", "mexc", "bybit"]


def test_everyone_who_may_be_asked_is_known_before_the_home_has_listed_all(universe):
    everything = universe(
        """
        instruments: all
        exclude: [GONE-USDT]
        timeframes: {1m: 7d, 1d: {history: 7d, sources: [blofin, gate]}}
        sources: [blofin, okx, kraken]
        classes: {memes: {instruments: [DOGE-USDT], sources: [blofin, mexc]}}
        overrides: {BTC-USDT: {sources: [blofin, bybit]}, GONE-USDT: {sources: [hyperliquid]}}
        """
    )
    assert everything.all_sources() == ["blofin", "okx", "gate", "mexc", "bybit"]


def test_any_other_exchange_of_ccxts_may_be_a_source_and_ccxt_is_not_imported_for_that(universe):
    assert universe(MINIMAL + "sources: [blofin, phemex]").series()[0].sources == ("blofin", "phemex")


def test_all_means_what_the_home_lists_but_for_the_excluded(universe):
    everything = universe("instruments: all\nexclude: [B-USDT, GONE-USDT]\ntimeframes: {1m: 7d}")
    assert [one.symbol for one in everything.series(["A-USDT", "B-USDT", "C-USDT"])] == ["A-USDT", "C-USDT"]
    with pytest.raises(ConfigurationError, match="needs the primary source's list"):
        everything.series()


def test_a_profile_stands_alone_and_inherits_nothing(universe):
    text = MINIMAL + "sources: [okx]\nprofiles: {deep: {instruments: [ETH-USDT], timeframes: {1d: 250d}}}"
    assert [(o.symbol, o.timeframe, o.sources) for o in universe(text, "deep").series()] == [
        ("ETH-USDT", "1d", ("blofin",))
    ]
    assert [(o.symbol, o.timeframe, o.sources) for o in universe(text).series()] == [("BTC-USDT", "1m", ("okx",))]


def test_a_date_is_midnight_utc_and_a_time_keeps_its_offset(universe):
    def since(date):
        return universe(with_timeframe(f"{{since: {date}}}")).series()[0].since_ms

    assert since("2024-03-10") == utc_ms(2024, 3, 10)
    assert since("2024-03-10T06:30Z") == utc_ms(2024, 3, 10, 6, 30)
    assert since("2024-03-10T06:30:00+02:00") == utc_ms(2024, 3, 10, 4, 30)


def test_keys_may_be_shared_by_yamls_own_anchors(universe):
    text = "profiles: {a: &a {instruments: [A-USDT], timeframes: {1m: 7d}}, b: {<<: *a, sources: [okx]}}\n" + MINIMAL
    assert universe(text, "b").series()[0].sources == ("okx",)


# Windows


@given(st.integers(1, 99_999_999), st.sampled_from(sorted(UNIT_MS)))
def test_a_duration_is_its_number_times_its_unit(number, unit):
    assert parse_duration(f"{number}{unit}") == number * UNIT_MS[unit]


@given(st.one_of(st.text(), st.from_regex(r"-?[0-9.]+[a-zA-Z]{0,2}", fullmatch=True), st.integers(), st.none()))
def test_nothing_else_is_a_duration(value):
    if not (isinstance(value, str) and re.fullmatch(r"[1-9][0-9]{0,7}[mhdw]", value)):
        with pytest.raises(ValueError, match="is not a duration"):
            parse_duration(value)


@given(moments, timeframes, spans, st.integers(0, 60_000))
def test_a_window_is_on_the_grid_and_holds_every_whole_bar_of_its_history(now_ms, timeframe, history_ms, settle_ms):
    grid = TIMEFRAMES[timeframe]
    start_ms = wish(timeframe, history_ms).window_start_ms(now_ms, settle_ms)
    end_ms = grid.last_closed_end(now_ms, settle_ms)
    assert grid.is_on_grid(start_ms)
    assert 0 <= start_ms <= end_ms
    if end_ms - history_ms >= 0:
        assert grid.bars(start_ms, end_ms) == history_ms // grid.step_ms


@given(moments, timeframes, spans, st.integers(0, 4_000_000_000_000))
def test_a_fixed_span_never_starts_after_its_end_and_never_moves_once_it_is_over(now_ms, timeframe, since_ms, until_ms):
    fixed = wish(timeframe, None, since_ms, until_ms)
    start_ms = fixed.window_start_ms(now_ms)
    assert start_ms <= TIMEFRAMES[timeframe].floor(min(now_ms, until_ms))
    if since_ms + TIMEFRAMES[timeframe].step_ms <= until_ms <= now_ms:
        assert start_ms == fixed.window_start_ms(now_ms + DAY_MS) == TIMEFRAMES[timeframe].ceil(since_ms)


def test_seven_days_are_10080_minutes_until_the_bar_that_just_closed_has_settled():
    end_ms = NOW_MS - NOW_MS % MINUTE_MS
    assert wish().window_start_ms(NOW_MS) == end_ms - 10_080 * MINUTE_MS
    assert wish().window_start_ms(end_ms + 4_999, settle_ms=5_000) == end_ms - 10_081 * MINUTE_MS
    assert wish().window_start_ms(end_ms + 5_000, settle_ms=5_000) == end_ms - 10_080 * MINUTE_MS


def test_ten_days_of_weeks_are_the_one_week_that_ended_on_monday():
    assert wish("1w", 10 * DAY_MS).window_start_ms(NOW_MS) == utc_ms(2025, 11, 10)


def test_what_retention_drops_is_never_in_the_window():
    now_ms = utc_ms(2025, 11, 20)
    assert wish("1h", 30 * DAY_MS, retention_ms=3 * DAY_MS).window_start_ms(now_ms) == utc_ms(2025, 11, 17)


# Narrowing


def test_a_selection_keeps_the_files_order():
    wishes = [wish(timeframe, symbol=symbol) for symbol in ("B-USDT", "A-USDT") for timeframe in ("1m", "1h")]
    assert select_series(wishes) == wishes
    assert select_series(wishes, ["A-USDT", "B-USDT"], ["1h"]) == [wishes[1], wishes[3]]
    assert select_series(wishes, (), ["1m"]) == [wishes[0], wishes[2]]


def test_a_selection_of_what_the_universe_lacks_is_an_error_that_names_what_it_has():
    with pytest.raises(UnknownSymbol, match=r"'btc-usdt'.*BTC-USDT"):
        select_series([wish()], ["BTC-USDT", "btc-usdt"])
    with pytest.raises(UnknownTimeframe, match=r"'1h'; known are 1m$"):
        select_series([wish()], None, ["1h"])


def test_the_lookback_setting_replaces_every_history_by_at_least_one_bar(tmp_path):
    path = tmp_path / "universe.yaml"
    path.write_text("instruments: [BTC-USDT]\ntimeframes: {1m: 7d, 1h: {since: 2024-01-01}, 1d: 90d}")
    settings = load_settings({"BACKFILL_UNIVERSE": str(path), "BACKFILL_LOOKBACK_HOURS": "2"})
    assert [
        (one.history_ms, one.since_ms) for one in declared_series(load_universe(path), settings.lookback_hours)
    ] == [
        (2 * HOUR_MS, None),
        (2 * HOUR_MS, None),
        (DAY_MS, None),
    ]


def test_symbol_and_profile_settings_choose_within_the_file_and_shorten_no_wish_list():
    settings = load_settings({"BACKFILL_SYMBOLS": "A-USDT", "BACKFILL_PROFILE": "deep_history"})
    universe = load_universe(settings.universe, settings.profile)
    wishes = declared_series(universe, settings.lookback_hours, ["A-USDT", "B-USDT"])
    assert {one.symbol for one in wishes} == {"A-USDT", "B-USDT"}


# What is wrong with a file


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("7", "timeframes.1h: 7 is not a duration; write a whole number and m, h, d or w, such as 7d"),
        ("1M", "timeframes.1h: '1M' is not a duration"),
        ("1y", "timeframes.1h: '1y' is not a duration"),
        ("0d", "timeframes.1h: '0d' is not a duration"),
        ("1.5d", "timeframes.1h: '1.5d' is not a duration"),
        ("[7d]", "timeframes.1h: this is not a duration"),
        ("false", "timeframes.1h: false is not a duration"),
        ("", "timeframes.1h: does not say how far back"),
        ("{}", "timeframes.1h: does not say how far back"),
        ("30m", "timeframes.1h: its `history` is shorter than one bar"),
        ("{history: 7d, since: 2024-01-01}", "timeframes.1h: has both a `history` and a `since`"),
        ("{history: 250d, retention: 14d}", "timeframes.1h: its `retention` is shorter than its `history`"),
        ("{since: 2024-01-01, retention: 900d}", "timeframes.1h: has a `retention`, which would in time drop"),
        ("{history: 7d, until: 2024-01-01, retention: 8d}", "timeframes.1h: has a `retention`, which would in time"),
        ("{since: 2024-01-02, until: 2024-01-01}", "timeframes.1h: its `until` is less than one bar after its `since`"),
        ("{since: 2024-13-01}", "timeframes.1h.since: '2024-13-01' is not a date"),
        ("{since: 2024-01-01T10:00}", "timeframes.1h.since: '2024-01-01T10:00' has no time zone"),
        ("{since: 1969-12-31}", "timeframes.1h.since: '1969-12-31' lies before 1970"),
        ("{since: 2999-01-01}", "timeframes.1h.since: lies in the future"),
        ("{since: 1704067200000}", "timeframes.1h.since: 1704067200000 is not a date"),
        ("{history: 7x}", "timeframes.1h.history: '7x' is not a duration"),
        ("{history: 7d, retentions: 8d}", "timeframes.1h.retentions: unknown key; did you mean retention?"),
    ],
)
def test_a_timeframe_says_how_far_back_in_one_clear_way(problems, rule, problem):
    (found,) = problems(with_timeframe(rule))
    assert found.startswith(f"line 3: {problem}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("instruments: [btc-usdt]", "instruments[0]: 'btc-usdt' is not an instrument's name; did you mean BTC-USDT?"),
        ("instruments: [BTCUSDT]", "instruments[0]: 'BTCUSDT' is not an instrument's name; did you mean BTC-USDT?"),
        ("instruments: [Bitcoin]", "instruments[0]: 'Bitcoin' is not an instrument's name; write BASE-QUOTE"),
        ("instruments: [1]", "instruments[0]: 1 is not an instrument's name"),
        ("instruments: []", "instruments: is empty"),
        ("instruments: everything", "instruments: is not a list, nor the word all"),
        ("instruments:", "instruments: is empty; name at least one, or write all"),
        ("instruments: [A-USDT, B-USDT, A-USDT]", "instruments: named more than once: A-USDT"),
        ("instruments: [A-USDT]\nexclude: [A-USDT]", "exclude: leaves no instrument"),
        ("instruments: [A-USDT]\nexclude: [B-USDT]", "exclude[0]: B-USDT is not among the instruments"),
        ("instruments: all\nsources: blofin", "sources: is not a list"),
        ("instruments: all\nsources: []", "sources: is empty"),
        ("instruments: all\nsources: [okx, okx]", "sources: named more than once: okx"),
        ("instruments: all\nsources: [blofin, ftx]", "sources[1]: unknown source 'ftx'; known are blofin, okx, bybit"),
        ("instruments: all\nsources: [kraken]", "sources[0]: kraken has spot only and comes first"),
        ("instruments: all\nsources: [blofin, okkx]", "sources[1]: unknown source 'okkx'; did you mean okx?"),
        ("instruments: all\nsources: [okx, base]", "sources[1]: unknown source 'base'"),  # a folder of ccxt's
        ("instruments: all\nsources: [7]", "sources[0]: 7 is not a source's name"),
        ("instruments: all\nclasses: {m: {sources: [okx]}}", "classes.m.instruments: is missing"),
        ("instruments: all\nclasses: {m: {instruments: all, sources: [okx]}}", "classes.m.instruments: is not a list"),
        (
            "instruments: all\nclasses: {m: {instruments: [A-USDT], source: [okx], sources: [okx]}}",
            "classes.m.source: unknown key; did you mean sources?",
        ),
        (
            "instruments: [A-USDT]\nclasses: {m: {instruments: [A-USDT, B-USDT], sources: [okx]}}",
            "classes.m.instruments[1]: B-USDT is not among the instruments",
        ),
        (
            "instruments: all\nclasses: {m: &m {instruments: [A-USDT], sources: [okx]}, n: *m}",
            "classes.n.instruments[0]: A-USDT is of the class m already",
        ),
        (
            "instruments: all\nclasses: {m: {instruments: [A-USDT], sources: [kraken]}}",
            "classes.m.sources[0]: kraken has spot only and comes first",
        ),
        (
            "instruments: all\nprofiles: {x: {instruments: all, timeframes: {1h: {history: 5d, sources: [kraken]}}}}",
            "profiles.x.timeframes.1h.sources[0]: kraken has spot only and comes first",
        ),
        (
            "instruments: all\nspot_proxy: true\nsources: [kraken]\noverrides: {A-USDT: {spot_proxy: false}}",
            "overrides.A-USDT.sources[0]: kraken has spot only and comes first",
        ),
        ("instruments: [A-USDT.mark]\nsources: [gate]", "instruments[0]: gate comes first and has no mark prices"),
        ("instruments: [A-USDT, AAPL]", "instruments[1]: AAPL is no BASE-QUOTE; name it in a class of `kind: stocks`"),
        (
            "instruments: all\nclasses: {m: {instruments: [AAPL], sources: [okx], kind: stocks}}",
            "classes.m: has stocks and no `calendar`; name their exchange's, such as XNYS",
        ),
        (
            "instruments: all\nclasses: {m: {instruments: [A-USDT], sources: [okx], splits: raw}}",
            "classes.m.splits: crypto has no splits",
        ),
        (
            "instruments: all\nclasses: {m: {instruments: [AAPL], sources: [polygon, yfinance], kind: stocks, "
            "calendar: XNYS, splits: raw}}",
            "classes.m: yfinance has adjusted prices of stocks only, the class asks for raw ones; name another source",
        ),
        (
            "instruments: all\nclasses: {m: {instruments: [A-USDT], sources: [okx], kind: bonds}}",
            "classes.m.kind: Input should be 'crypto', 'stocks' or 'forex'",
        ),
        ("instruments: all\nspot_proxy: sometimes", "spot_proxy: is neither true nor false"),
        ("instruments: all\ninstrument: BTC-USDT", "instrument: unknown key; did you mean instruments?"),
        ("instruments: all\nxyz: 1", "xyz: unknown key; known are instruments, exclude, timeframes, sources"),
        ("instruments: all\noverrides: [A-USDT]", "overrides: is not a mapping of keys to values"),
        ("instruments: all\noverrides: {a-usdt: {}}", "overrides.a-usdt: 'a-usdt' is not an instrument's name"),
        ("instruments: [A-USDT]\noverrides: {B-USDT: {}}", "overrides.B-USDT: B-USDT is not among the instruments"),
        ("instruments: all\noverrides: {A-USDT: 7d}", "overrides.A-USDT: is not a mapping of keys to values"),
        (
            "instruments: all\noverrides: {A-USDT: {source: [okx]}}",
            "overrides.A-USDT.source: unknown key; did you mean",
        ),
        ("instruments: all\noverrides: {A-USDT: {sources: [okx, x]}}", "overrides.A-USDT.sources[1]: unknown source"),
        (
            "instruments: all\noverrides: {A-USDT: {timeframes: {1m: no}}}",
            "overrides.A-USDT.timeframes: leaves nothing",
        ),
        ("instruments: all\noverrides: {A-USDT: {timeframes: {7m: 7d}}}", "overrides.A-USDT.timeframes.7m: unknown"),
        ("instruments: all\nprofiles: {x: {instruments: all}}", "profiles.x.timeframes: is missing"),
        ("instruments: all\nprofiles: {x: {instruments: all, timeframes: {1h: 5m}}}", "profiles.x.timeframes.1h: its"),
    ],
)
def test_every_key_is_checked_and_named_by_its_path(problems, text, problem):
    (found,) = problems(f"timeframes: {{1m: 7d}}\n{text}\n")
    assert re.sub(r"^line \d+: ", "", found).startswith(problem)


def test_a_class_gives_its_series_the_hours_of_their_market(universe):
    wishes = universe(
        "instruments: [A-USDT, AAPL, EUR_USD]\ntimeframes: {1h: 7d}\nsources: [blofin]\nclasses:\n"
        "  shares: {kind: stocks, instruments: [AAPL], sources: [okx], calendar: XNYS, splits: raw}\n"
        "  pairs: {kind: forex, instruments: [EUR_USD], sources: [okx]}\n"
    ).series()
    assert [(one.symbol, one.calendar, one.splits) for one in wishes] == [
        ("A-USDT", None, None),
        ("AAPL", "XNYS", "raw"),
        ("EUR_USD", "forex", None),
    ]


def test_an_unknown_timeframe_is_named_with_the_known_ones(problems):
    assert problems("instruments: all\ntimeframes: {7m: 7d}") == (
        "line 2: timeframes.7m: unknown timeframe '7m'; known are 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 1w",
    )


def test_all_problems_are_told_at_once_in_the_files_order(problems):
    found = problems(
        "instruments:\n  - btc\n  - BTC-USDT\nsource: [x]\ntimeframes:\n  1H: 7d\n  1m: 7\nspot_proxy: 1\n"
    )
    assert [line.split(": ")[:2] for line in found] == [
        ["line 2", "instruments[0]"],
        ["line 4", "source"],
        ["line 6", "timeframes.1H"],
        ["line 7", "timeframes.1m"],
        ["line 8", "spot_proxy"],
    ]


def test_what_is_missing_is_named_without_a_line(problems):
    assert problems("exclude: []") == ("instruments: is missing", "timeframes: is missing")


@pytest.mark.parametrize("text", ["", "# only a comment\n", "- BTC-USDT\n", "BTC-USDT\n", "7\n"])
def test_a_file_that_is_no_mapping_says_which_keys_it_needs(problems, text):
    assert problems(text) == ("holds no keys; it needs at least `instruments:` and `timeframes:`",)


def test_a_key_that_stands_twice_is_an_error_at_any_depth(problems):
    assert problems(MINIMAL + "sources: [okx]\noverrides:\n  A-USDT: {}\n  A-USDT: {}\nsources: [blofin]\n") == (
        "line 6: 'A-USDT' stands twice, first on line 5",
        "line 7: 'sources' stands twice, first on line 3",
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("instruments: [BTC-USDT\ntimeframes: {}", "line 2: not YAML: "),
        ("instruments:\n\t- BTC-USDT", "line 2: not YAML: "),
        ("a: 1\n---\nb: 2\n", "line 2: not YAML: expected a single document in the stream, but found another"),
        ("a: !!python/object/apply:os.getcwd []", "line 1: not YAML: "),
        ("a: !!int x", "not YAML: "),
        ("a: \x01", "not YAML: "),
        ("a: &a\n  b: *a", "not YAML: an alias inside a.b points back to what it stands in"),
        ("[" * 5_000, "not YAML: "),
        (ALIAS_BOMB, "has more than 200,000 entries, counting what its aliases repeat"),
        (MERGE_BOMB, "has more than 200,000 entries, counting what its aliases repeat"),
        ("#" * 4_000_001, "is longer than 4,000,000 letters"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_where_it_stands(problems, text, problem):
    (found,) = problems(text)
    assert found.startswith(problem)


def test_a_file_is_parsed_again_once_its_text_has_changed(tmp_path):
    path = tmp_path / "universe.yaml"
    path.write_text("{instruments: [BTC-USDT], timeframes: {1m: 7d}}")
    first = load_universe(path)
    assert load_universe(path) is first  # such as what a task's parent has read
    path.write_text("{instruments: [ETH-USDT], timeframes: {1m: 7d}}")
    assert [wish.symbol for wish in load_universe(path).series()] == ["ETH-USDT"]


def test_a_file_that_cannot_be_read_says_how_to_name_another(tmp_path):
    with pytest.raises(UniverseInvalid, match=r"missing\.yaml.*\n.*No such file.*set BACKFILL_UNIVERSE"):
        load_universe(tmp_path / "missing.yaml")
    with pytest.raises(UniverseInvalid, match="set BACKFILL_UNIVERSE"):
        load_universe(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"# \xe9\n")
    with pytest.raises(UniverseInvalid, match="UTF-8"):
        load_universe(tmp_path / "latin.yaml")


def test_an_unknown_profile_is_named_with_the_known_ones():
    with pytest.raises(UniverseInvalid, match="no profile 'deep'; known are deep_history"):
        load_universe(DEFAULT, "deep")


def test_a_universe_cannot_be_changed_after_it_is_read(universe):
    with pytest.raises(ValueError, match="frozen"):
        universe(MINIMAL).spot_proxy = True


def test_the_source_names_that_the_file_accepts_are_those_the_settings_know(universe):
    text = f"{MINIMAL}spot_proxy: true\nsources: [{', '.join(SOURCES)}]\n"
    assert universe(text).series()[0].sources == SOURCES


def test_missing_bars_are_made_of_finer_ones_where_the_narrowest_word_is_yes(universe):
    text = """
instruments: [BTC-USDT, ETH-USDT, SOL-USDT]
timeframes: {15m: 7d, 1h: {history: 7d, roll_up: false}, 4h: 7d, 1d: {history: 7d, roll_up: true}}
overrides:
  ETH-USDT: {roll_up: true}
  SOL-USDT: {roll_up: false, timeframes: {4h: {history: 9d, roll_up: true}, 1d: 9d}}
"""
    rolled_up = {
        symbol: [
            one.timeframe
            for one in universe(f"roll_up: true\n{text}").series()
            if (one.symbol, one.roll_up) == (symbol, True)
        ]
        for symbol in ("BTC-USDT", "ETH-USDT", "SOL-USDT")
    }
    assert rolled_up == {
        "BTC-USDT": ["15m", "4h", "1d"],
        "ETH-USDT": ["15m", "1h", "4h", "1d"],
        "SOL-USDT": ["4h"],
    }
    assert [one.timeframe for one in universe(text).series() if one.roll_up] == [
        *["1d"],
        *["15m", "1h", "4h", "1d"],
        *["4h"],
    ]


def test_the_bars_that_make_a_series_ready_are_the_rules_the_files_or_200(universe):
    text = """
instruments: [BTC-USDT, ETH-USDT]
ready_bars: 50
timeframes: {1d: {history: 250d, ready_bars: 200}, 1h: 30d}
overrides: {ETH-USDT: {timeframes: {1d: 30d}}}
"""
    wishes = universe(text).series()
    assert {(one.symbol, one.timeframe): one.ready_bars for one in wishes} == {
        ("BTC-USDT", "1h"): 50,
        ("BTC-USDT", "1d"): 200,
        ("ETH-USDT", "1h"): 50,
        ("ETH-USDT", "1d"): 50,
    }
    assert {one.ready_bars for one in universe("instruments: [BTC-USDT]\ntimeframes: {1m: 7d}").series()} == {200}


def test_more_bars_than_the_history_has_are_refused(problems):
    text = "instruments: [BTC-USDT]\ntimeframes: {1d: {history: 30d, ready_bars: 31}}"
    assert problems(text) == ("line 2: timeframes.1d: its `ready_bars` asks for 31 bars, its `history` has 30",)
    assert problems(text.replace("31", "0"))[0].startswith("line 2: timeframes.1d.ready_bars: ")
