"""``backfill correct FILE.csv``: checked whole, shown, applied in one transaction, kept for ever."""

from __future__ import annotations

import io
import math
import time
from pathlib import Path
from typing import Any

import pytest

from backfill.domain.intervals import Interval
from backfill.domain.timeframes import utc
from backfill.jobs.by_hand.correct_candles import MANUAL, Corrections
from backfill.storage import candles_by_hand
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.storage.findings import Finding, FindingsLog
from backfill.storage.series import SeriesWindow
from integration.cli.conftest import Cli, Said
from integration.helpers import (
    HOUR_MS,
    MINUTE_MS,
    NOON_MS,
    candles,
    contents,
    held_ms,
    one,
    rows,
    store_bars,
    stored_ms,
    wanted_series,
)

HEADER = "symbol,timeframe,open_time,open,high,low,close,volume,quote_volume"
FIRST_MS = NOON_MS - 10 * MINUTE_MS
BARS = "SELECT open, high, low, close, volume, quote_volume FROM backfill.candles WHERE open_time = %s"
SOURCE_OF = (
    "SELECT s.name FROM backfill.candles AS c JOIN backfill.sources AS s ON s.id = c.source_id WHERE open_time = %s"
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def window(store: CandleStore) -> SeriesWindow:
    """Ten minutes of BTC-USDT, held from Blofin."""
    series = wanted_series(store, history_ms=HOUR_MS, sources=("blofin", "okx"))
    store_bars(store, series, candles(range(FIRST_MS, NOON_MS, MINUTE_MS)))
    return series


@pytest.fixture
def correct(cli: Cli, tmp_path: Path) -> Any:
    """Writes lines under the header into a file and corrects by it."""

    def call(*lines: str, header: str = HEADER, options: tuple[str, ...] = ("--json",)) -> Said:
        path = tmp_path / "corrections.csv"
        path.write_text("\n".join([header, *lines]) + "\n")
        return cli("correct", str(path), "--reason", "typo of the exchange", *options)

    return call


def line(minute: int, *values: object, symbol: str = "BTC-USDT", timeframe: str = "1m") -> str:
    """A bar that many minutes after the first: open, high, low, close, volume, quote volume."""
    return ",".join([symbol, timeframe, str(FIRST_MS + minute * MINUTE_MS), *map(str, values)])


AS_HELD = (100, 101, 99, 100, 2.5, 250)


def everything(store: CandleStore) -> dict[str, Any]:
    return {**contents(store.connection), "findings": rows(store.connection, "SELECT * FROM backfill.findings")}


# -- what is applied -----------------------------------------------------------------------------------------


def test_a_corrected_bar_is_the_persons_and_its_former_self_is_kept_with_the_reason(
    correct: Any, store: CandleStore, window: SeriesWindow
) -> None:
    said = correct(line(3, 100, 102, 99, 101.5, 2.5, 251), line(4, *AS_HELD))

    assert said.code == 0
    counts = {"changed": 1, "new": 0, "unchanged": 1, "applied": True, "revised": 1, "inserted": 0}
    assert {name: said.document[name] for name in counts} == counts
    changed, unchanged = said.document["rows"]
    assert (changed["line"], changed["change"], changed["fields"]) == (2, "changed", ["high", "close", "quote_volume"])
    assert (changed["held"]["close"], changed["held"]["source"], changed["becomes"]["close"]) == (100, "blofin", 101.5)
    assert (unchanged["line"], unchanged["change"]) == (3, "unchanged")
    at = utc(FIRST_MS + 3 * MINUTE_MS)
    assert rows(store.connection, BARS, (at,)) == [(100, 102, 99, 101.5, 2.5, 251)]
    assert one(store.connection, SOURCE_OF, (at,)) == MANUAL
    assert rows(
        store.connection,
        "SELECT r.open_time, reason, close, quote_volume, old.name, new.name, note FROM backfill.revisions AS r "
        "JOIN backfill.sources AS old ON old.id = source_id JOIN backfill.sources AS new ON new.id = new_source_id",
    ) == [(at, "manual", 100, 250, "blofin", MANUAL, "typo of the exchange")]
    assert one(store.connection, SOURCE_OF, (utc(FIRST_MS + 4 * MINUTE_MS),)) == "blofin"


def test_no_later_page_undoes_a_correction(correct: Any, store: CandleStore, window: SeriesWindow) -> None:
    correct(line(3, 100, 102, 99, 101.5, 2.5, 251))
    before = contents(store.connection)

    page = store_bars(store, window, candles(range(FIRST_MS, NOON_MS, MINUTE_MS)))

    assert (page.inserted, page.revised) == (0, 0)
    assert contents(store.connection) == before


def test_new_bars_are_held_at_once_and_nobody_is_asked_for_them(
    correct: Any, store: CandleStore, window: SeriesWindow
) -> None:
    said = correct(line(-2, *AS_HELD), line(-60 * 24 * 70, *AS_HELD))

    assert (said.code, said.document["inserted"], said.document["revised"]) == (0, 2, 0)
    assert [row["change"] for row in said.document["rows"]] == ["new", "new"]
    old_ms = FIRST_MS - 70 * 24 * HOUR_MS
    assert held_ms(store.connection, window) == [
        Interval(old_ms, old_ms + MINUTE_MS),
        Interval(FIRST_MS - 2 * MINUTE_MS, FIRST_MS - MINUTE_MS),
        Interval(FIRST_MS, NOON_MS),
    ]
    assert one(store.connection, "SELECT count(*) FROM backfill.candles_default") == 0
    assert one(store.connection, "SELECT count(*) FROM backfill.revisions") == 0


def test_a_stand_in_that_a_person_corrects_stands_in_no_more(
    correct: Any, store: CandleStore, window: SeriesWindow
) -> None:
    store_bars(store, window, candles([FIRST_MS - MINUTE_MS]), source="okx")
    assert one(store.connection, "SELECT stand_in <> '{}' FROM backfill.series")

    assert correct(line(-1, 100, 101, 99, 100.5, 2.5, 250)).code == 0

    assert one(store.connection, "SELECT stand_in = '{}' FROM backfill.series")


def test_an_empty_volume_is_unknown_and_an_old_quote_volume_goes_with_its_bar(
    correct: Any, store: CandleStore, window: SeriesWindow
) -> None:
    without = HEADER.removesuffix(",quote_volume")
    said = correct(line(1, *AS_HELD[:5]), header=without)
    assert (said.code, said.document["unchanged"]) == (0, 1)
    assert rows(store.connection, BARS, (utc(FIRST_MS + MINUTE_MS),)) == [AS_HELD]

    assert correct(line(1, 100, 101, 99, 100, ""), header=without).code == 0
    assert rows(store.connection, BARS, (utc(FIRST_MS + MINUTE_MS),)) == [(100, 101, 99, 100, None, None)]

    assert correct(line(1, 100, 101, 99, 100, 0, "")).code == 0
    assert rows(store.connection, BARS, (utc(FIRST_MS + MINUTE_MS),)) == [(100, 101, 99, 100, 0, None)]
    assert rows(store.connection, "SELECT volume, quote_volume FROM backfill.revisions ORDER BY id") == [
        (2.5, 250),
        (None, None),
    ]


def test_a_correction_of_prices_alone_clears_the_quote_volume_of_the_old_bar(
    correct: Any, store: CandleStore, window: SeriesWindow
) -> None:
    said = correct(line(1, 200, 202, 198, 200, 2.5), header=HEADER.removesuffix(",quote_volume"))

    assert said.code == 0
    assert said.document["rows"][0]["fields"] == ["open", "high", "low", "close", "quote_volume"]
    assert rows(store.connection, BARS, (utc(FIRST_MS + MINUTE_MS),)) == [(200, 202, 198, 200, 2.5, None)]


def test_volumes_that_do_not_fit_the_prices_are_refused(correct: Any, store: CandleStore, window: SeriesWindow) -> None:
    before = everything(store)
    said = correct(line(1, 100, 101, 99, 100, 250, 2.5))
    assert said.code != 0
    assert "line 2, quote_volume: 2.5 for 250 is no price between 99 and 101" in said.err
    assert everything(store) == before


def test_a_held_value_that_is_no_number_can_be_corrected(
    correct: Any, store: CandleStore, window: SeriesWindow
) -> None:
    store.connection.execute(
        "UPDATE backfill.candles SET close = 'NaN', high = 'Infinity' WHERE open_time = %s", (utc(FIRST_MS),)
    )

    said = correct(line(0, *AS_HELD))

    assert said.document["rows"][0]["fields"] == ["high", "close"]
    assert said.document["rows"][0]["held"]["close"] == "nan"
    assert rows(store.connection, BARS, (utc(FIRST_MS),)) == [AS_HELD]


def test_applied_twice_the_second_time_finds_nothing_to_do(
    correct: Any, store: CandleStore, window: SeriesWindow
) -> None:
    correct(line(3, 100, 102, 99, 101.5, 2.5, 251))
    before = everything(store)

    again = correct(line(3, 100, 102, 99, 101.5 * (1 + 1e-12), 2.5, 251))

    assert (again.code, again.document["applied"], again.document["unchanged"]) == (0, False, 1)
    assert everything(store) == before


def test_findings_are_settled_whose_bars_were_all_corrected(
    correct: Any, store: CandleStore, window: SeriesWindow
) -> None:
    def found(kind: str, start: int, end: int | None) -> Finding:
        end_ms = None if end is None else FIRST_MS + end * MINUTE_MS
        return Finding(kind, "disagree", window.series_id, start_ms=FIRST_MS + start * MINUTE_MS, end_ms=end_ms)

    log = FindingsLog(store.connection)
    log.record([found("one bar", 3, 4), found("no end", 3, None), found("two bars", 3, 5), found("another", 5, 6)])
    log.record([found("partly", 2, 4), found("as held", 6, 7)])

    said = correct(*(line(minute, 100, 102, 99, 101.5, 2.5, 251) for minute in (3, 4)), line(6, *AS_HELD))

    assert said.document["findings_settled"] == 3
    assert {row["kind"] for row in log.all()} == {"another", "partly", "as held"}
    (settled,) = log.all(status="settled", kinds=["one bar"])
    assert settled["detail"] == {"settled_by": "typo of the exchange"}


# -- what is shown and asked ---------------------------------------------------------------------------------


def test_a_dry_run_tells_what_is_held_and_what_would_be_and_writes_nothing(
    correct: Any, store: CandleStore, window: SeriesWindow
) -> None:
    before = everything(store)

    said = correct(
        line(4, *AS_HELD), line(-1, 0.000012345678, 1, 0.00001, 1, "", 0), line(3, 100, 102, 99, 101.5, 2.5, 251),
        options=("--dry-run",),
    )  # fmt: skip

    assert said.code == 0
    assert said.out.splitlines() == [
        "line 4: BTC-USDT 1m 2026-03-10 11:53 changed: high 101 -> 102, close 100 -> 101.5, quote_volume 250 -> 251 "
        "(held from blofin)",
        "line 3: BTC-USDT 1m 2026-03-10 11:49 new: open 1.2345678e-05, high 1, low 1e-05, close 1, volume unknown, "
        "quote_volume 0",
        "line 2: BTC-USDT 1m 2026-03-10 11:54 unchanged",
        "1 to correct, 1 to add, 1 unchanged",
    ]
    assert everything(store) == before


@pytest.mark.parametrize(("answer", "code", "applied"), [("y\n", 0, 1), ("\n", 1, 0), ("no\n", 1, 0), ("", 1, 0)])
def test_on_a_terminal_a_person_is_asked_first(
    correct: Any,
    store: CandleStore,
    window: SeriesWindow,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    code: int,
    applied: int,
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answer))

    said = correct(line(3, 100, 102, 99, 101.5, 2.5, 251), options=())

    assert said.code == code
    assert said.out.startswith("line 2: BTC-USDT 1m 2026-03-10 11:53 changed")
    assert "apply 1 corrections? [y/N]" in said.out + said.err
    assert one(store.connection, "SELECT count(*) FROM backfill.revisions") == applied
    assert ("nothing was applied" in said.out) is not applied


def test_yes_is_an_answer_and_json_without_one_is_refused_on_a_terminal(
    correct: Any, store: CandleStore, window: SeriesWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(""))

    refused = correct(line(3, 100, 102, 99, 101.5, 2.5, 251))
    assert (refused.code, refused.document["exit_code"]) == (2, 2)
    assert "add --yes or --dry-run" in refused.err
    assert correct(line(3, 100, 102, 99, 101.5, 2.5, 251), options=("--json", "--yes")).document["applied"] is True


def test_without_a_terminal_nobody_is_asked(correct: Any, store: CandleStore, window: SeriesWindow) -> None:
    said = correct(line(3, 100, 102, 99, 101.5, 2.5, 251), options=())

    assert (said.code, said.out.splitlines()[-1]) == (0, "1 corrected, 0 added, 0 findings settled")


# -- what is refused -----------------------------------------------------------------------------------------


def test_one_fault_anywhere_and_nothing_is_written(correct: Any, store: CandleStore, window: SeriesWindow) -> None:
    before = everything(store)

    said = correct(
        line(3, 100, 102, 99, 101.5, 2.5, 251),
        line(4, 100, 99, 98, 101, -1, "x"),
        line(5, *AS_HELD, symbol="BTC-USDT'; DROP TABLE candles --"),
        line(6, *AS_HELD, timeframe="7m"),
        line(60 * 24 * 365 * 50, *AS_HELD),
        line(3, *AS_HELD),
    )

    assert (said.code, said.document["error"]["type"]) == (2, "CorrectionsInvalid")
    assert said.err.splitlines()[1:] == [
        "  line 3, high: high_is_not_highest (open 100, high 99, low 98, close 101)",
        "  line 3, quote_volume: 'x' is no finite decimal number",
        "  line 3, volume: '-1' is below 0",
        """  line 4, symbol: we keep no "BTC-USDT'; DROP TABLE candles --\"""",
        "  line 5, timeframe: we keep no '7m' of BTC-USDT; kept are 1m",
        "  line 6, open_time: the bar is not over yet",
        "  line 7, open_time: the bar of line 2 again",
    ]
    assert everything(store) == before


def test_a_bar_that_retention_would_drop_again_is_refused(
    correct: Any, store: CandleStore, window: SeriesWindow
) -> None:
    store.connection.execute("UPDATE backfill.series SET retention_ms = %s", (24 * HOUR_MS,))

    said = correct(line(-60 * 24 * 365, *AS_HELD))

    assert said.code == 2
    assert "line 2, open_time: the series is kept from 20" in said.err


@pytest.mark.parametrize("arguments", [[], ["--reason", "  "], ["--reason", "\udc80"]])
def test_without_a_reason_in_words_nothing_is_read(cli: Cli, arguments: list[str]) -> None:
    assert cli("correct", "nowhere.csv", *arguments).code == 2


def test_a_file_that_is_not_there_is_named(cli: Cli, tmp_path: Path) -> None:
    said = cli("correct", str(tmp_path / "nowhere.csv"), "--reason", "typo")

    assert said.code == 2
    assert "nowhere.csv cannot be applied" in said.err
    assert "No such file" in said.err


def test_a_file_of_no_line_is_nothing_to_do(correct: Any, window: SeriesWindow) -> None:
    said = correct()

    assert (said.code, said.document["rows"], said.document["applied"]) == (0, [], False)


def test_a_run_on_one_of_the_series_is_waited_for_and_then_nothing_is_written(
    correct: Any, store: CandleStore, window: SeriesWindow, database_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candles_by_hand, "PATIENCE_S", 0.0)
    before = everything(store)

    with CandleStore(connect(database_uri)) as another, another.working_on(window, 0):
        said = correct(line(3, 100, 102, 99, 101.5, 2.5, 251))

    assert said.code == 1
    assert "BTC-USDT 1m is being worked on by another run" in said.err
    assert everything(store) == before


def test_what_a_stranger_has_written_since_the_dry_run_is_kept_as_it_was(
    store: CandleStore, window: SeriesWindow, tmp_path: Path, database_uri: str
) -> None:
    path = tmp_path / "corrections.csv"
    path.write_text("\n".join([HEADER, line(3, 100, 102, 99, 101.5, 2.5, 251), line(4, *AS_HELD)]))
    corrections = Corrections.read(store, path, settle_ms=0)
    with connect(database_uri) as stranger:
        stranger.execute("UPDATE backfill.candles SET close = 99.5")

    written = corrections.apply("typo")

    assert (written.revised, written.unchanged) == (2, 0)
    assert rows(store.connection, "SELECT close, note FROM backfill.revisions") == [(99.5, "typo"), (99.5, "typo")]


# -- size ----------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_hundred_thousand_lines_are_a_matter_of_seconds(
    store: CandleStore, window: SeriesWindow, tmp_path: Path
) -> None:
    lines = [line(-minute, 100.25, 101, 99, 100.5, minute, "") for minute in range(1, 100_001)]
    path = tmp_path / "corrections.csv"
    path.write_text("\n".join([HEADER, *lines]))
    store_bars(store, window, candles(range(FIRST_MS - 50_000 * MINUTE_MS, FIRST_MS, MINUTE_MS)))
    began = time.monotonic()

    corrections = Corrections.read(store, path, settle_ms=0)
    shown = corrections.changes()
    written = corrections.apply("all of it")

    assert (len(shown), written.revised, written.inserted) == (100_000, 50_000, 50_000)
    assert time.monotonic() - began < 60
    assert math.isclose(one(store.connection, "SELECT sum(volume) FROM backfill.candles"), 5_000_050_025)
    assert len(stored_ms(store.connection, window)) == 100_010
