"""What a person and a program read."""

from __future__ import annotations

import io
import json
import re
from datetime import datetime, timezone

import pytest

from backfill.cli.output import Output
from backfill.errors import SettingsInvalid

NOON = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
ROW = {"symbol": "BTC-USDT", "newest": NOON, "missing": 1234567, "coverage": 99.123, "error": None}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_json_run_prints_one_document_and_keeps_its_notes_to_itself(capsys):
    output = Output(as_json=True)
    output.note("working")
    output.document({"series": [ROW], "missing_candles": 1})
    told = capsys.readouterr()
    assert json.loads(told.out) == {
        "series": [{**ROW, "newest": "2026-01-31T12:00:00+00:00"}],
        "missing_candles": 1,
    }
    assert told.err == ""


def test_what_json_has_no_word_for_is_a_fault_of_ours_and_not_a_guess():
    with pytest.raises(TypeError, match="set has no place in JSON"):
        Output(as_json=True).document({"symbols": {"BTC-USDT"}})


def test_results_and_errors_go_separate_ways(capsys):
    output = Output(as_json=False)
    output.line("all complete")
    output.note("working")
    output.error("no answer")
    told = capsys.readouterr()
    assert (told.out, told.err) == ("all complete\n", "working\nerror: no answer\n")


def test_an_error_is_told_in_a_json_run_too(capsys):
    Output(as_json=True).error("no answer")
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "error: no answer\n")


def test_a_table_shows_times_counts_and_percentages_as_a_person_writes_them(capsys):
    Output(as_json=False).table("1 series", [ROW], tuple(ROW))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == "1 series"
    assert [line.split() for line in lines if "symbol" in line] == [list(ROW)]
    assert [line.split() for line in lines if "BTC" in line] == [
        ["BTC-USDT", "2026-01-31", "12:00", "1,234,567", "99.12"]
    ]


def test_a_table_of_nothing_still_names_its_columns(capsys):
    Output(as_json=False).table("0 series", [], ("symbol", "missing"))
    assert "missing" in capsys.readouterr().out


# What exchanges and databases say looks like markup at times: "[/api/v1]" would end a style that was never begun.
SAID = ["[/api/v1/market/candles] failed", "[red]no[/red]", "code :100: :ok:", "x" * 2000, "a \\[b]"]


@pytest.mark.parametrize("text", SAID)
def test_text_is_printed_as_it_is_and_not_folded_where_nobody_watches(capsys, text):
    output = Output(as_json=False)
    output.line(text)
    output.note(text)
    output.error(text)
    output.table(text, [{"error": text}], ("error",))
    told = capsys.readouterr()
    assert told.out.splitlines().count(text) == 1
    assert [line.strip() for line in told.out.splitlines()].count(text) == 3  # the line, the title, the cell
    assert told.err == f"{text}\nerror: {text}\n"


def test_progress_is_left_to_the_caller_where_nobody_watches():
    for output in (Output(as_json=False), Output(as_json=True)):
        with output.progress(3, "series") as progress:
            assert progress is None


def test_a_terminal_gets_a_bar_that_shows_the_last_thing_done_as_it_is(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with Output(as_json=False).progress(2, "series") as progress:
        progress.update(progress.task_ids[0], advance=1, last="[/BTC-USDT]")
    assert "1/2" in terminal.getvalue()
    assert "[/BTC-USDT]" in terminal.getvalue()


MANY = ("symbol", "timeframe", "total_candles", "missing_candles", "coverage_pct", "last_sync", "error_message")
FULL = {
    "symbol": "1000000BABYDOGE-USDT", "timeframe": "15m", "total_candles": 1_234_567, "missing_candles": 0,
    "coverage_pct": 99.5, "last_sync": NOON, "error_message": "okx: not served in this country (HTTP 451)",
}  # fmt: skip


@pytest.mark.parametrize("width", [40, 60, 80, 100, 150])
def test_a_row_is_one_line_at_any_width_and_what_has_no_room_is_named(width, monkeypatch, capsys):
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    Output(as_json=False).table("3 series", [FULL] * 3, MANY)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()).splitlines()
    table = [line for line in lines if not line.startswith("not shown")]
    assert all(len(line) <= width for line in table)
    assert sum("BABYDOGE" in line for line in table) == 3
    heads = "\n".join(table)
    left_out = [line for line in lines if line.startswith("not shown")]
    for column in MANY:
        assert all(word in heads for word in column.split("_")) or column in left_out[0], column
    assert (left_out == []) == (width >= 100), lines


def test_no_head_is_broken_in_a_table_that_just_fits(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    row = {"symbol": "NICHE-USDT", "timeframe": "1m", "before %": 0.0, "inserted": 2881, "requests": 3, "revised": 0}
    for width in range(44, 80):
        monkeypatch.setenv("COLUMNS", str(width))
        Output(as_json=False).table("1 series", [row], list(row))
        lines = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()).splitlines()
        shown, left_out = "\n".join(lines), lines[-1] if lines[-1].startswith("not shown") else ""
        assert all(column in shown for column in row if column not in left_out), shown
        assert (left_out == "") == (width >= 62), shown
        terminal.seek(0)
        terminal.truncate()


def test_a_wide_table_is_whole_on_any_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", "60")
    Output(as_json=False, wide=True).table("1 series", [FULL], MANY)
    assert sum(FULL["error_message"] in line and "BABYDOGE" in line for line in terminal.getvalue().splitlines()) == 1


def test_a_failure_is_a_document_too_in_a_json_run(capsys):
    Output(as_json=True, command="fill").failure(SettingsInvalid(["a: bad", "b: bad"]), 2)
    document = json.loads(capsys.readouterr().out)
    assert document["command"] == "fill"
    assert (document["exit_code"], document["error"]["type"]) == (2, "SettingsInvalid")
    assert document["error"]["problems"] == ["a: bad", "b: bad"]
