"""``backfill findings`` and ``backfill findings dismiss``."""

from __future__ import annotations

import pytest

from backfill.storage.candle_store import CandleStore
from backfill.storage.findings import Finding, FindingsLog
from backfill.storage.series import SeriesWindow
from integration.cli.conftest import Cli
from integration.helpers import MINUTE_MS, NOON_MS, rows, wanted_series

STATES = "SELECT kind, status, detail FROM backfill.findings ORDER BY id"


@pytest.fixture
def window(store: CandleStore) -> SeriesWindow:
    return wanted_series(store)


def found(kind: str, series_id: int | None, minute: int = 0, status: str = "open") -> Finding:
    """A close that is far off in the eighth decimal."""
    return Finding(
        kind, "disagree", series_id, start_ms=NOON_MS + minute * MINUTE_MS, field="close", stored=0.000012345678,
        other=0.000012345679, difference=-8.1e-8, detail={"says": kind}, status=status,
    )  # fmt: skip


def test_what_is_open_is_listed_with_its_figures_as_they_are(
    cli: Cli, store: CandleStore, window: SeriesWindow
) -> None:
    assert cli("findings").out == "findings: none\n"
    log = FindingsLog(store.connection)
    (told, everywhere, _) = log.record(
        [found("a", window.series_id), found("b", None), found("c", window.series_id, status="settled")]
    )

    listed, shown = cli("findings", "--json"), cli("findings").out

    assert listed.code == 0
    assert {row["id"] for row in listed.document["findings"]} == {told, everywhere}
    assert {(row["kind"], row["symbol"], row["stored"]) for row in listed.document["findings"]} == {
        ("a", "BTC-USDT", 0.000012345678),
        ("b", None, 0.000012345678),
    }
    assert shown.count("1.2345678e-05") == shown.count("1.2345679e-05") == 2


def test_a_list_is_of_what_is_asked_for(cli: Cli, store: CandleStore, window: SeriesWindow) -> None:
    other = wanted_series(store, "ETH-USDT")
    FindingsLog(store.connection).record(
        [found("a", window.series_id), found("b", window.series_id), found("a", other.series_id),
         found("c", other.series_id, status="settled")]
    )  # fmt: skip

    def listed(*options: str) -> list[tuple[str, str]]:
        document = cli("findings", "--json", *options).document
        return sorted((row["kind"], row["symbol"]) for row in document["findings"])

    assert listed() == [("a", "BTC-USDT"), ("a", "ETH-USDT"), ("b", "BTC-USDT")]
    assert listed("--kinds", "a,c", "--status", "all", "--symbols", "ETH-USDT") == [
        ("a", "ETH-USDT"),
        ("c", "ETH-USDT"),
    ]
    assert listed("--status", "settled") == [("c", "ETH-USDT")]
    cut = cli("findings", "--limit", "2", "--json").document
    assert (len(cut["findings"]), cut["more"]) == (2, True)
    assert cli("findings", "--symbols", "DOGE-USDT").code == 2


def test_what_is_dismissed_says_why_and_stays_so_when_seen_again(
    cli: Cli, store: CandleStore, window: SeriesWindow
) -> None:
    log = FindingsLog(store.connection)
    finding = found("a", window.series_id)
    (told,) = log.record([finding])

    said = cli("findings", "dismiss", str(told), "--reason", "their feed was late", "--json")

    assert (said.code, said.result) == (0, {"dismissed": [told]})
    (kept,) = cli("findings", "--status", "dismissed", "--json").document["findings"]
    assert kept["detail"] == {"says": "a", "dismissed": "their feed was late"}
    log.record([finding])
    assert [status for _, status, _ in rows(store.connection, STATES)] == ["dismissed"]
    assert cli("findings").out == "findings: none\n"


def test_a_finding_that_was_only_told_can_be_dismissed_too(cli: Cli, store: CandleStore, window: SeriesWindow) -> None:
    (told,) = FindingsLog(store.connection).record([found("a", window.series_id, status="settled")])

    assert cli("findings", "dismiss", str(told), "--reason", "known").out == "1 dismissed\n"


def test_an_id_that_is_unknown_or_dismissed_leaves_all_of_them_as_they_are(
    cli: Cli, store: CandleStore, window: SeriesWindow
) -> None:
    log = FindingsLog(store.connection)
    good, dismissed = log.record([found("a", window.series_id), found("b", window.series_id)])
    cli("findings", "dismiss", str(dismissed), "--reason", "known")
    before = rows(store.connection, STATES)

    said = cli("findings", "dismiss", str(good), str(dismissed), "987654321", "--reason", "all of it")

    assert (said.code, said.out) == (2, "")
    assert said.err.splitlines()[1:] == [
        f"  {dismissed}: no finding, or dismissed before",
        "  987654321: no finding, or dismissed before",
    ]
    assert rows(store.connection, STATES) == before
