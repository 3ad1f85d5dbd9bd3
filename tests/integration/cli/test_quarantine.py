"""``backfill quarantine list | discard | release``: a person decides on rows that broke a rule."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pandas as pd
import pytest
from psycopg.types.json import Jsonb

from backfill.domain.intervals import Interval
from backfill.domain.timeframes import utc
from backfill.domain.venues import ANY_KEY, VENUES
from backfill.errors import DecisionRefused
from backfill.frames.ccxt_frame import ccxt_frame
from backfill.jobs.by_hand.quarantine import discard, release
from backfill.jobs.by_hand.quarantined_candle import QuarantineReader
from backfill.paper.protocol import Answer
from backfill.storage.candle_store import CandleStore, QuarantinedRow
from backfill.storage.candles_by_hand import writable_series
from backfill.storage.database import connect
from backfill.storage.series import SeriesWindow
from integration.cli.conftest import Cli
from integration.exchange import PaperBlofin, data_of, fill, saying
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
    wanted_series,
)
from unit.exchanges import canned_answers
from unit.exchanges.venue_markets import BITCOIN, SINCE_MS, Asked
from waiting import PATIENCE_S, wait_for

BAR_MS = NOON_MS - 10 * MINUTE_MS


@pytest.fixture
def window(store: CandleStore) -> SeriesWindow:
    return wanted_series(store, history_ms=HOUR_MS, sources=("blofin", "okx"))


def blofin_row(open_ms: int = BAR_MS, **cells: Any) -> list[Any]:
    """A row whose high is not its highest, unless ``cells`` mend it."""
    told = {"ts": str(open_ms), "o": "100", "h": "99", "l": "98", "c": "101", "vol": "2500", "volume": "2.5",
            "quote_volume": "250", "confirm": "1", **cells}  # fmt: skip
    return list(told.values())


def put(
    store: CandleStore,
    window: SeriesWindow,
    payload: Any,
    *,
    open_ms: int | None = BAR_MS,
    rule: str = "high_is_not_highest",
    source: str = "blofin",
) -> int:
    """Bring a row into quarantine as a page does; give its id."""
    store_bars(store, window, candles([]), source=source, quarantined=[QuarantinedRow(open_ms, rule, payload)])
    return int(one(store.connection, "SELECT max(id) FROM backfill.quarantine"))


def list_market(
    store: CandleStore, source: str = "okx", *, status: str = "proved", price: float = 0.001, volume: float = 10.0
) -> None:
    store.connection.execute(
        "INSERT INTO backfill.listings (instrument_id, source_id, venue_symbol, instrument_class, price_scale, "
        "volume_scale, status, market) SELECT id, %s, %s, 'perpetual', %s, %s, %s, %s FROM backfill.instruments",
        (
            store.source_id(source),
            BITCOIN[source].venue_symbol,
            price,
            volume,
            status,
            Jsonb(BITCOIN[source].as_dict()),
        ),
    )


def everything(store: CandleStore) -> dict[str, Any]:
    decided = "SELECT id, status, decided_at, note FROM backfill.quarantine ORDER BY id"
    return {**contents(store.connection), "quarantine": rows(store.connection, decided)}


def bar(store: CandleStore, open_ms: int = BAR_MS) -> tuple[Any, ...]:
    (found,) = rows(
        store.connection,
        "SELECT open, high, low, close, volume, quote_volume, s.name FROM backfill.candles AS c "
        "JOIN backfill.sources AS s ON s.id = c.source_id WHERE open_time = %s",
        (utc(open_ms),),
    )
    return found


def wait_until_another_wants_the_series(store: CandleStore) -> None:
    wants = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND query LIKE '%pg_try_advisory_lock%'"
    )
    wait_for("another to want the series", lambda: one(store.connection, wants))


# -- list ----------------------------------------------------------------------------------------------------


def test_what_nobody_has_decided_on_is_listed_as_it_came(cli: Cli, store: CandleStore, window: SeriesWindow) -> None:
    assert cli("quarantine", "list").out == "quarantine: none\n"
    for _ in range(2):
        first = put(store, window, blofin_row())
    second = put(store, window, ["x"], open_ms=None, rule="field_is_malformed")

    listed = cli("quarantine", "list", "--json").document

    assert [(row["id"], row["rule"], row["times_seen"], row["open_time"]) for row in listed["quarantine"]] == [
        (second, "field_is_malformed", 1, None),
        (first, "high_is_not_highest", 2, "2026-03-10T11:50:00+00:00"),
    ]
    row = listed["quarantine"][1]
    assert row["payload"] == blofin_row()
    assert (row["symbol"], row["timeframe"], row["source"], row["status"]) == ("BTC-USDT", "1m", "blofin", "pending")
    shown = cli("quarantine", "list").out
    assert json.dumps(blofin_row()) in shown
    assert shown.splitlines()[0].strip() == "quarantine: 2"


def test_a_list_is_cut_and_says_so(cli: Cli, store: CandleStore, window: SeriesWindow) -> None:
    for minute in range(3):
        put(store, window, blofin_row(BAR_MS + minute * MINUTE_MS))

    cut, whole = (
        cli("quarantine", "list", "--limit", "2", "--json"),
        cli("quarantine", "list", "--limit", "3", "--json"),
    )

    assert (len(cut.document["quarantine"]), cut.document["more"]) == (2, True)
    assert (len(whole.document["quarantine"]), whole.document["more"]) == (3, False)
    assert "--limit shows more" in cli("quarantine", "list", "--limit", "2").out


def test_a_list_is_of_what_is_asked_for(cli: Cli, store: CandleStore, window: SeriesWindow) -> None:
    other = wanted_series(store, "ETH-USDT")
    ids = [put(store, window, blofin_row()), put(store, other, blofin_row()), put(store, window, blofin_row(c="102"))]
    cli("quarantine", "discard", str(ids[2]))

    def listed(*options: str) -> set[int]:
        return {row["id"] for row in cli("quarantine", "list", "--json", *options).document["quarantine"]}

    assert listed() == {ids[0], ids[1]}
    assert listed("--symbols", "BTC-USDT", "--status", "all") == {ids[0], ids[2]}
    assert listed("--status", "discarded") == {ids[2]}
    assert listed("--status", "released") == set()
    unknown = cli("quarantine", "list", "--symbols", "BTC-USDT,DOGE-USDT")
    assert unknown.code == 2
    assert "unknown symbol 'DOGE-USDT'" in unknown.err


# -- discard -------------------------------------------------------------------------------------------------


def test_what_is_discarded_stays_so_when_it_is_seen_again(cli: Cli, store: CandleStore, window: SeriesWindow) -> None:
    ids = [put(store, window, blofin_row()), put(store, window, ["x"], open_ms=None)]

    said = cli("quarantine", "discard", *map(str, ids), "--reason", "a test row")
    put(store, window, blofin_row())

    assert (said.code, said.out) == (0, "2 discarded\n")
    assert rows(
        store.connection, "SELECT status, decided_at IS NULL, note, times_seen FROM backfill.quarantine ORDER BY id"
    ) == [("discarded", False, "a test row", 2), ("discarded", False, "a test row", 1)]
    assert one(store.connection, "SELECT count(*) FROM backfill.candles") == 0


@pytest.mark.parametrize("decision", ["discard", "release"])
def test_an_id_that_is_unknown_or_decided_on_leaves_all_of_them_undecided(
    cli: Cli, store: CandleStore, window: SeriesWindow, decision: str
) -> None:
    good, decided = put(store, window, blofin_row()), put(store, window, blofin_row(c="102"))
    cli("quarantine", "discard", str(decided), "--reason", "a test row")
    before = everything(store)

    said = cli("quarantine", decision, str(good), str(decided), "987654321")

    assert (said.code, said.out) == (2, "")
    told = said.err.splitlines()
    assert told[0] == f"error: cannot {decision}; nothing was changed:"
    assert told[1].startswith(f"  {decided}: it was discarded on 20")
    assert told[1].endswith("(a test row)")
    assert told[2:] == ["  987654321: there is no such row in quarantine"]
    assert everything(store) == before


# -- release -------------------------------------------------------------------------------------------------


def test_a_released_row_is_stored_as_it_came_and_the_next_page_that_brings_it_is_counted(
    cli: Cli, store: CandleStore, live_exchange: PaperBlofin, window: SeriesWindow
) -> None:
    live_exchange.behave()

    def high_below_low(row: list[Any]) -> list[Any]:
        return [*row[:2], row[3], str(float(row[2]) * 2), *row[4:]]

    def misbehave(_: object, true: Answer) -> Answer:
        return saying([high_below_low(row) if row[0] == str(BAR_MS) else row for row in data_of(true)])

    live_exchange.manners.misbehave = misbehave
    assert fill(store, live_exchange, window).missing_after == 1
    (row,) = cli("quarantine", "list", "--json").document["quarantine"]

    said = cli("quarantine", "release", str(row["id"]), "--reason", "seen on the tape", "--json")

    assert (said.code, said.result) == (
        0, {"released": [row["id"]], "inserted": 1, "revised": 0, "unchanged": 0, "findings_settled": 0}
    )  # fmt: skip
    told = row["payload"]
    assert bar(store) == (*(float(told[place]) for place in (1, 2, 3, 4, 6, 7)), "blofin")
    assert held_ms(store.connection, window) == [Interval(window.start_ms, window.end_ms)]
    before = everything(store)
    again = fill(store, live_exchange, window, recheck=True)
    assert (again.status, again.rows_inserted, again.rows_revised) == ("complete", 0, 0)
    assert everything(store) == before
    assert rows(store.connection, "SELECT times_seen >= 1, status, note FROM backfill.quarantine") == [
        (True, "released", "stored although high_is_not_highest, low_is_not_lowest: seen on the tape")
    ]


def test_what_was_held_of_the_bar_is_kept_as_a_revision(cli: Cli, store: CandleStore, window: SeriesWindow) -> None:
    store_bars(store, window, candles([BAR_MS]), source="okx")
    row = put(store, window, blofin_row())

    said = cli("quarantine", "release", str(row))

    assert (said.code, said.out) == (0, "1 released, 1 revised\n")
    assert bar(store) == (100, 99, 98, 101, 2.5, 250, "blofin")
    assert one(store.connection, "SELECT stand_in = '{}' FROM backfill.series")
    assert rows(
        store.connection,
        "SELECT reason, close, s.name, note FROM backfill.revisions JOIN backfill.sources AS s ON s.id = source_id",
    ) == [("manual", 100, "okx", "released from quarantine")]


@pytest.mark.parametrize(
    ("cells", "missing"),
    [
        ({"h": ""}, "it lacks a finite high above 0;"),
        ({"o": "0", "c": "abc"}, "it lacks a finite open above 0, a finite close above 0;"),
        ({"volume": ""}, "a finite volume of 0 or more"),
        ({"volume": "-1"}, "a finite volume of 0 or more"),
        ({"quote_volume": "-1"}, "a finite quote volume of 0 or more"),
        ({"ts": str(BAR_MS + 1)}, "an open time on the grid of 1m"),
        ({"ts": ""}, "an open time on the grid of 1m"),
        ({"ts": str(NOON_MS + 24 * 365 * 20 * HOUR_MS)}, "the end of its bar, which was still running"),
        ({"confirm": "0"}, "the end of its bar, which was still running"),
        ({"confirm": "2"}, "it lacks a finite open above 0, a finite high above 0"),
    ],
)
def test_a_row_that_makes_no_candle_cannot_be_released_and_the_cure_is_named(
    cli: Cli, store: CandleStore, window: SeriesWindow, cells: dict[str, str], missing: str
) -> None:
    good, bad = put(store, window, blofin_row(BAR_MS + MINUTE_MS)), put(store, window, blofin_row(**cells))
    before = everything(store)

    said = cli("quarantine", "release", str(good), str(bad))

    assert (said.code, said.out) == (2, "")
    assert f"{bad} (BTC-USDT 1m 2026-03-10 11:50 from blofin): it lacks" in said.err
    assert missing in said.err
    assert "give the bar with `backfill correct`" in said.err
    assert everything(store) == before


@pytest.mark.parametrize("payload", [None, "['NaN', 1]", {"o": 1}, 7, []])
def test_a_payload_of_another_shape_cannot_be_released(
    cli: Cli, store: CandleStore, window: SeriesWindow, payload: Any
) -> None:
    list_market(store)
    for source in ("blofin", "okx"):
        row = put(store, window, payload, open_ms=None, rule="field_is_malformed", source=source)
        said = cli("quarantine", "release", str(row))
        assert said.code == 2
        assert "it lacks" in said.err


def test_a_malformed_quote_volume_is_unknown_and_the_note_says_what_was_overruled(
    cli: Cli, store: CandleStore, window: SeriesWindow
) -> None:
    row = put(store, window, blofin_row(h="102", quote_volume="a lot"), rule="field_is_malformed")

    assert cli("quarantine", "release", str(row)).code == 0

    assert bar(store) == (100, 102, 98, 101, 2.5, None, "blofin")
    assert one(store.connection, "SELECT note FROM backfill.quarantine") == "stored although field_is_malformed"


def test_of_two_rows_of_one_bar_one_can_be_released(cli: Cli, store: CandleStore, window: SeriesWindow) -> None:
    ids = [put(store, window, blofin_row(h="102", c=close), rule="open_time_is_told_twice") for close in ("100", "101")]

    both = cli("quarantine", "release", *map(str, ids))
    assert both.code == 2
    assert both.err.count("only one row of a bar can be released") == 2
    assert cli("quarantine", "release", str(ids[1])).code == 0
    assert bar(store)[3] == 101


def test_the_same_id_twice_is_one_row(cli: Cli, store: CandleStore, window: SeriesWindow) -> None:
    row = put(store, window, blofin_row())

    assert cli("quarantine", "release", str(row), str(row)).out == "1 released, 1 inserted\n"


def test_a_row_that_the_audit_has_moved_is_put_back_as_it_was(
    cli: Cli, store: CandleStore, window: SeriesWindow
) -> None:
    store_bars(store, window, candles([BAR_MS]))
    (moved,) = rows(store.connection, "DELETE FROM backfill.candles RETURNING to_jsonb(candles)")[0]
    row = put(store, window, {**moved, "high": 98.0})

    assert cli("quarantine", "release", str(row)).code == 0

    assert bar(store) == (100, 98, 99, 100, 2.5, 250, "blofin")


def test_a_row_that_somebody_else_decides_on_meanwhile_is_not_stored(
    store: CandleStore, window: SeriesWindow, database_uri: str
) -> None:
    row = put(store, window, blofin_row())
    with CandleStore(connect(database_uri)) as releasing, ThreadPoolExecutor(1) as threads:
        with store.working_on(window, 0):
            released = threads.submit(release, releasing, [row], None, 0)
            wait_until_another_wants_the_series(store)
            discard(store, [row], "a test row")
        with pytest.raises(DecisionRefused, match="another person has decided"):
            released.result(timeout=PATIENCE_S)

    assert one(store.connection, "SELECT count(*) FROM backfill.candles") == 0
    assert one(store.connection, "SELECT status FROM backfill.quarantine") == "discarded"


# -- other exchanges' rows -----------------------------------------------------------------------------------

AT_S = SINCE_MS // 1000
ROWS = {
    "okx": [str(SINCE_MS), "1", "3", "0.5", "2", "1000", "10", "15.5", "1"],
    "bybit": [str(SINCE_MS), "1", "3", "0.5", "2", "10", "15.5"],
    "binanceusdm": [SINCE_MS, "1", "3", "0.5", "2", "10", SINCE_MS + 59_999, "15.5", 7, "5", "8", "0"],
    "bitget": [str(SINCE_MS), "1", "3", "0.5", "2", "10", "15.5"],
    "gate": {"t": AT_S, "v": 10, "c": "2", "h": "3", "l": "0.5", "o": "1", "sum": "15.5"},
    "kucoinfutures": [SINCE_MS, 1, 3, 0.5, 2, 10],
    "hyperliquid": {"t": SINCE_MS, "T": SINCE_MS + 59_999, "s": "BTC", "i": "1m", "o": "1", "c": "2", "h": "3",
                    "l": "0.5", "v": "10", "n": 3},
    "binance": [SINCE_MS, "1", "3", "0.5", "2", "10", SINCE_MS + 59_999, "15.5", 7, "5", "8", "0"],
    "mexc": {"time": [AT_S], "open": [1], "high": [3], "low": [0.5], "close": [2], "vol": [10], "amount": [15.5]},
    "kraken": [AT_S, "1", "3", "0.5", "2", "1.5", "10", 7],
    "coinbase": {"start": str(AT_S), "low": "0.5", "high": "3", "open": "1", "close": "2", "volume": "10"},
}  # fmt: skip


WELL = {"okx": {"code": "0"}, "bybit": {"retCode": 0}, "kucoinfutures": {"code": "200000"}}


def answer_of(source: str, row: Any) -> Any:
    """The venue's whole answer with one row; MEXC's is made of columns."""
    if source == "mexc":
        return {"success": True, "code": 0, "data": row}
    document: Any = [row]
    for key in reversed(VENUES[source].rows_at or ()):
        document = {"XBTUSDT" if key == ANY_KEY else key: document}
    return {**document, **WELL[source]} if source in WELL else document


@pytest.mark.parametrize("source", ROWS)
def test_a_row_of_another_exchange_is_read_as_the_fill_has_read_it(
    store: CandleStore, window: SeriesWindow, source: str
) -> None:
    asked = Asked(source, canned_answers.Answer(json.dumps(answer_of(source, ROWS[source])).encode()))
    answer = asked.candles().rows
    list_market(store, source, price=0.001, volume=10.0)
    put(store, window, answer[0].raw, source=source)
    (row,) = store.quarantine.rows()

    read = QuarantineReader(store).read(row, writable_series(store, 0)[0])

    assert read.candle is not None
    pd.testing.assert_frame_equal(read.candle, ccxt_frame(answer, 0.001, 10.0).to_pandas())
    assert read.candle["high"].tolist() == [0.003]
    assert read.missing == []


def test_a_released_row_of_another_exchange_is_scaled_and_stands_in(
    cli: Cli, store: CandleStore, window: SeriesWindow
) -> None:
    list_market(store, price=0.001, volume=10.0)
    row = put(store, window, [str(BAR_MS), "1", "0.4", "0.5", "2", "1000", "10", "15.5", "1"], source="okx")

    assert cli("quarantine", "release", str(row)).code == 0

    assert bar(store) == (0.001, 0.0004, 0.0005, 0.002, 100, 15.5, "okx")
    assert one(store.connection, "SELECT stand_in <> '{}' FROM backfill.series")


@pytest.mark.parametrize(
    ("source", "prepare"),
    [
        ("okx", lambda store: None),
        ("okx", lambda store: list_market(store, status="refused")),
        ("fantasy", lambda store: None),
    ],
)
def test_a_row_whose_scale_nobody_knows_cannot_be_released(
    cli: Cli, store: CandleStore, window: SeriesWindow, source: str, prepare: Callable[[CandleStore], None]
) -> None:
    prepare(store)
    row = put(store, window, ROWS["okx"], source=source)

    said = cli("quarantine", "release", str(row))

    assert said.code == 2
    assert "it lacks one proved listing of BTC-USDT at okx" in said.err or "read as a row of fantasy" in said.err
