"""A coin, a stock and a currency pair side by side: bars outside a market's hours are neither gaps nor absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from backfill.config.universe_file import load_universe
from backfill.config.universe_model import Validation
from backfill.domain.timeframes import TIMEFRAMES, utc
from backfill.errors import ConfigurationError
from backfill.jobs.files.export_segments import ExportTerms, export_segments
from backfill.jobs.files.folder import LocalFolder
from backfill.jobs.maintain.audit import audit
from backfill.jobs.status.explain_candle import explain_candle
from backfill.jobs.universe.declare_universe import declare_universe
from backfill.jobs.validate.validate_universe import validate_universe
from backfill.storage.candle_store import CandleStore
from backfill.storage.conditions import conditions, count_changed_days
from backfill.storage.series import Selection
from backfill.storage.series_status import sync_status
from integration.exchange import WHO, PaperBlofin, fill, punch
from integration.helpers import DAY_MS, HOUR_MS, moment, ms, one, opens, rows, stored_ms
from integration.jobs.hours import UNIVERSE, fewest_pages, market_of, opens_of, traded_market
from integration.jobs.rolled_up import open_runtime

pytestmark = pytest.mark.long

# Thanksgiving and the half day after it; the nights on which New York's clocks change.
THANKSGIVING = ("2025-11-17", "2025-12-01")
CLOCKS_BACK = ("2025-10-27", "2025-11-10")
CLOCKS_FORWARD = ("2026-03-02", "2026-03-16")
FORTNIGHTS = (THANKSGIVING, CLOCKS_BACK, CLOCKS_FORWARD)
SYMBOLS = ("AAPL", "BTC-USDT", "EUR_USD")
NAMES = ("1m", "15m", "1h", "1d")


def declare(store: CandleStore, folder: Path, fortnight: tuple[str, str], more: str = "") -> None:
    file = folder / "universe.yaml"
    file.write_text(UNIVERSE.format(since=fortnight[0], until=fortnight[1]) + more, encoding="utf-8")
    declare_universe(store, load_universe(file))


def gaps(store: CandleStore, now_ms: int, symbol: str, name: str) -> list[int]:
    """The open times of the bars that the ledger calls missing."""
    which = Selection(utc(now_ms), 5000, symbols=[symbol], timeframes=[name])
    step_ms = TIMEFRAMES[name].step_ms
    return sorted(
        open_ms
        for row in store.rows("ledger/select_gaps", which)
        for open_ms in range(
            round(row["gap_start"].timestamp() * 1000), round(row["gap_end"].timestamp() * 1000), step_ms
        )
    )


@pytest.mark.parametrize("fortnight", FORTNIGHTS, ids=lambda span: span[0])
def test_two_weeks_have_no_false_gap_and_no_missed_one_and_cost_the_fewest_pages(
    store: CandleStore, tmp_path: Path, fortnight: tuple[str, str]
) -> None:
    declare(store, tmp_path, fortnight)
    since_ms, until_ms = ms(fortnight[0]), ms(fortnight[1])
    requests = fewest = 0
    with PaperBlofin(market_of(*fortnight)) as exchange:
        exist = {(symbol, name): opens_of(symbol, name, *fortnight) for symbol in SYMBOLS for name in NAMES}
        for now_ms in range(since_ms + 13 * HOUR_MS + 10_000, until_ms + DAY_MS, 13 * HOUR_MS):
            exchange.time.now_ms = now_ms
            for (symbol, name), opens_ms in exist.items():
                step_ms = TIMEFRAMES[name].step_ms
                which = Selection(utc(now_ms), 5000, symbols=[symbol], timeframes=[name])
                for window in store.windows(which):
                    held = set(stored_ms(store.connection, window))
                    due = [open_ms for open_ms in opens_ms if open_ms < window.end_ms and open_ms not in held]
                    assert gaps(store, now_ms, symbol, name) == due
                    report = fill(store, exchange, window)
                    requests += report.requests
                    fewest += fewest_pages(due, step_ms, 1440)
                    assert (report.missing_before, report.missing_after) == (len(due), 0)
        for (symbol, name), opens_ms in exist.items():
            (window,) = store.windows(Selection(utc(until_ms + DAY_MS), symbols=[symbol], timeframes=[name]))
            assert stored_ms(store.connection, window) == opens_ms
    assert requests == fewest
    assert rows(store.connection, "SELECT * FROM backfill.absences") == []


def test_a_first_fill_asks_for_no_page_of_closed_days(store: CandleStore, tmp_path: Path) -> None:
    declare(store, tmp_path, THANKSGIVING)
    now_ms = ms(THANKSGIVING[1]) + HOUR_MS
    with PaperBlofin(market_of(*THANKSGIVING), now_ms) as exchange:
        (window,) = store.windows(Selection(utc(now_ms), symbols=["AAPL"], timeframes=["1m"]))

        report = fill(store, exchange, window)

    # Nine sessions, on the half day 210 minutes; the window of fourteen days has 20,160.
    assert (report.requests, report.requests_planned, report.rows_inserted) == (9, 9, 8 * 390 + 210)
    assert (report.gaps_found, report.coverage_after, report.status) == (9, 100.0, "complete")


def test_a_lost_bar_inside_a_session_is_a_gap_and_a_closed_night_is_none(store: CandleStore, tmp_path: Path) -> None:
    declare(store, tmp_path, THANKSGIVING)
    now_ms = ms(THANKSGIVING[1]) + HOUR_MS
    with PaperBlofin(market_of(*THANKSGIVING), now_ms) as exchange:
        (window,) = store.windows(Selection(utc(now_ms), symbols=["AAPL"], timeframes=["1m"]))
        fill(store, exchange, window)
        last_of_half_day, first_of_monday = ms("2025-11-28T17:59"), ms("2025-11-17T14:30")
        punch(store, window, [last_of_half_day, first_of_monday])

        assert gaps(store, now_ms, "AAPL", "1m") == [first_of_monday, last_of_half_day]
        assert fill(store, exchange, window).missing_after == 0


def test_status_and_conditions_show_what_is_closed_apart(store: CandleStore, tmp_path: Path) -> None:
    declare(store, tmp_path, THANKSGIVING)
    now_ms = ms(THANKSGIVING[1]) + HOUR_MS
    which = Selection(utc(now_ms), symbols=["AAPL"], timeframes=["1h"])
    with PaperBlofin(market_of(*THANKSGIVING), now_ms) as exchange:
        (window,) = store.windows(which)
        fill(store, exchange, window)

    hours = 8 * 7 + 4  # 14:30 to 21:00 UTC touches seven hours, the half day to 18:00 four
    (status,) = sync_status(store, which)
    assert (status["status"], status["coverage_pct"], status["missing_candles"]) == ("complete", 100.0, 0)
    assert (status["total_candles"], status["expected_candles"]) == (hours, hours)
    assert (status["closed_candles"], status["absent_candles"]) == (14 * 24 - hours, 0)
    assert (status["ready"], status["bars_ready"]) == (True, hours)

    for counted in (False, True):  # as the view works it out, and as it was counted
        if counted:
            count_changed_days(store)
        by_day = {str(row["day"]): row for row in conditions(store, which)}
        assert len(by_day) == 14
        told = {day: (row["condition"], row["expected"], row["held"], row["closed"]) for day, row in by_day.items()}
        assert told["2025-11-22"] == ("closed", 0, 0, 24)
        assert told["2025-11-26"] == ("available", 7, 7, 17)
        assert told["2025-11-27"] == ("closed", 0, 0, 24)
        assert told["2025-11-28"] == ("available", 4, 4, 20)


def test_an_hour_is_made_of_the_minutes_that_its_market_was_open(store: CandleStore, tmp_path: Path) -> None:
    declare(store, tmp_path, THANKSGIVING, "roll_up: true\n")
    now_ms = ms(THANKSGIVING[1]) + HOUR_MS
    with PaperBlofin(market_of(*THANKSGIVING), now_ms) as exchange:
        for name in ("1m", "1h", "1d"):
            (window,) = store.windows(Selection(utc(now_ms), symbols=["AAPL"], timeframes=[name]))
            report = fill(store, exchange, window)
            assert report.missing_after == 0
            assert report.requests == (9 if name == "1m" else 0)
    made = "SELECT volume FROM backfill.ohlcv WHERE symbol = 'AAPL' AND timeframe = '1h' AND open_time = %s"
    assert one(store.connection, made, ("2025-11-26T14:00Z",)) == 30 * 2.5


def test_a_holiday_that_was_announced_late_is_counted_again(store: CandleStore, tmp_path: Path) -> None:
    declare(store, tmp_path, THANKSGIVING)
    now_ms = ms(THANKSGIVING[1]) + HOUR_MS
    which = Selection(utc(now_ms), symbols=["AAPL"], timeframes=["1h"])
    with PaperBlofin(market_of(*THANKSGIVING), now_ms) as exchange:
        (window,) = store.windows(which)
        fill(store, exchange, window)
    count_changed_days(store)
    day_ms = ms("2025-11-26")
    punch(store, window, list(range(day_ms, day_ms + DAY_MS, HOUR_MS)))
    assert len(gaps(store, now_ms, "AAPL", "1h")) == 7
    count_changed_days(store)

    store.connection.execute(
        "UPDATE backfill.closures SET closed = closed + int8multirange(int8range(%s, %s)) WHERE calendar = 'XNYS'",
        (day_ms, day_ms + DAY_MS),
    )

    assert gaps(store, now_ms, "AAPL", "1h") == []
    (told,) = [row for row in conditions(store, which) if str(row["day"]) == "2025-11-26"]
    assert (told["condition"], told["expected"], told["missing"]) == ("closed", 0, 0)
    count_changed_days(store)
    (told,) = [row for row in conditions(store, which) if str(row["day"]) == "2025-11-26"]
    assert (told["condition"], told["closed"]) == ("closed", 24)


def test_a_bar_is_explained_by_the_hours_and_files_take_every_name(store: CandleStore, tmp_path: Path) -> None:
    declare(store, tmp_path, THANKSGIVING)
    now_ms = ms(THANKSGIVING[1]) + HOUR_MS
    which = Selection(utc(now_ms), symbols=["AAPL", "EUR_USD"], timeframes=["1h"])
    with PaperBlofin(market_of(*THANKSGIVING), now_ms) as exchange:
        for window in store.windows(which):
            fill(store, exchange, window)

    states = [explain_candle(store, "AAPL", "1h", moment(f"2025-11-28T{hour}:00")).state for hour in (13, 14, 17, 18)]
    assert states == ["closed", "held", "held", "closed"]

    report = export_segments(store, LocalFolder(tmp_path / "files"), which, ExportTerms())
    names = sorted(path.name.split("__t")[0] for path in (tmp_path / "files").rglob("*.csv"))
    assert set(names) == {"AAPL__1h", "EUR_USD__1h"}
    assert names.count("AAPL__1h") == 9, report  # a file a session: nothing waits for a closed day


def test_a_stock_is_validated_and_audited_without_a_finding(
    store: CandleStore, tmp_path: Path, database_uri: str
) -> None:
    declare(store, tmp_path, THANKSGIVING)
    now_ms = ms(THANKSGIVING[1]) + HOUR_MS
    which = Selection(utc(now_ms), symbols=["AAPL"], timeframes=list(NAMES))
    with PaperBlofin(traded_market(*THANKSGIVING), now_ms) as exchange:
        windows = store.windows(which)
        for window in windows:
            assert fill(store, exchange, window).missing_after == 0
        punch(store, windows[0], opens(ms("2025-11-24T15:00"), ms("2025-11-24T15:05")))
        fill(store, exchange, windows[0])

        with open_runtime(database_uri, exchange) as runtime:
            reports = list(validate_universe(runtime, windows, WHO, Validation(), at=utc(now_ms), thorough=True))
            audit(runtime.store, at=utc(now_ms))

    assert [report.missing for report in reports] == [0, 0, 0, 0]
    assert rows(store.connection, "SELECT kind, verdict, detail FROM backfill.findings WHERE status = 'open'") == []
    # Closed bars do not keep longer ones from being compared: half an hour before the opening, a day's night.
    compared = (
        "SELECT s.timeframe, max((f.detail->>'equal')::int) FROM backfill.findings AS f "
        "JOIN backfill.series AS s ON s.id = f.series_id WHERE f.kind = 'next_timeframe' GROUP BY 1"
    )
    equal = dict(rows(store.connection, compared))
    assert (equal["1m"], equal["15m"], equal["1h"]) == (8 * 26 + 14, 8 * 7 + 4, 9)


def test_a_wrong_price_of_a_stock_is_found_by_its_day(store: CandleStore, tmp_path: Path, database_uri: str) -> None:
    declare(store, tmp_path, THANKSGIVING)
    now_ms = ms(THANKSGIVING[1]) + HOUR_MS
    which = Selection(utc(now_ms), symbols=["AAPL"], timeframes=["1h", "1d"])
    with PaperBlofin(traded_market(*THANKSGIVING), now_ms) as exchange:
        hours, daily = store.windows(which)
        for window in (hours, daily):
            fill(store, exchange, window)
        wrong = (
            "UPDATE backfill.candles SET high = high * 1.01 WHERE series_id = %s AND open_time = '2025-11-26T00:00Z'"
        )
        with_triggers_off = "SET session_replication_role = replica"
        store.connection.execute(with_triggers_off)
        store.connection.execute(wrong, (daily.series_id,))
        store.connection.execute("RESET session_replication_role")
        with open_runtime(database_uri, exchange) as runtime:
            list(validate_universe(runtime, [hours], WHO, Validation(), at=utc(now_ms)))

    found = "SELECT field FROM backfill.findings WHERE kind = 'timeframes' AND status = 'open' AND series_id = %s"
    assert rows(store.connection, found, (hours.series_id,)) == [("high",)]


def test_hours_are_written_once_a_day(store: CandleStore, tmp_path: Path) -> None:
    declare(store, tmp_path, THANKSGIVING)
    made = "SELECT calendar, timeframe, made_at FROM backfill.closures ORDER BY 1, 2"
    first = rows(store.connection, made)
    assert [(calendar, name) for calendar, name, _ in first] == [
        (calendar, name) for calendar in ("XNYS", "forex") for name in sorted(NAMES)
    ]

    declare(store, tmp_path, THANKSGIVING)
    assert rows(store.connection, made) == first

    store.connection.execute("UPDATE backfill.closures SET made_at = made_at - interval '25 hours'")
    declare(store, tmp_path, THANKSGIVING)
    assert all(now[2] >= then[2] for now, then in zip(rows(store.connection, made), first, strict=True))


def test_a_calendar_that_does_not_exist_is_named_before_anything_is_wanted(store: CandleStore, tmp_path: Path) -> None:
    file = tmp_path / "universe.yaml"
    text = UNIVERSE.format(since=THANKSGIVING[0], until=THANKSGIVING[1]).replace("XNYS", "XXXX")
    file.write_text(text, encoding="utf-8")

    with pytest.raises(ConfigurationError, match=r"no calendar 'XXXX'; known are forex, .*XNYS"):
        declare_universe(store, load_universe(file))

    assert rows(store.connection, "SELECT * FROM backfill.series") == []
