"""The words of the command line."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from backfill import __version__
from backfill.cli.arguments import parser


def test_a_fill_takes_all_its_words_at_once():
    args = parser().parse_args(
        [
            *("fill", "--symbols", "BTC-USDT, ETH-USDT", "--timeframes", "1m,1h", "--from", "2026-01-31"),
            *("--to", "2026-01-31T12:00+01:00", "--sources", "blofin,okx", "--recheck", "--dry-run", "--json"),
            *("--db", "postgresql://localhost/candles"),
        ]
    )
    assert args.symbols == ["BTC-USDT", "ETH-USDT"]
    assert args.timeframes == ["1m", "1h"]
    assert args.start == datetime(2026, 1, 31, tzinfo=timezone.utc)
    assert args.end == datetime(2026, 1, 31, 11, tzinfo=timezone.utc)
    assert args.sources == ["blofin", "okx"]
    assert (args.recheck, args.dry_run, args.json) == (True, True, True)
    assert args.db == "postgresql://localhost/candles"


def test_what_is_not_said_is_none_or_false():
    args = parser().parse_args(["fill"])
    assert {args.symbols, args.timeframes, args.start, args.end, args.sources, args.db} == {None}
    assert {args.recheck, args.dry_run, args.json} == {False}


def test_a_demo_takes_a_folder_and_a_glob():
    args = parser().parse_args(["demo", "--once", "--replay", "market", "--select", "okx__*"])
    assert (args.once, args.replay, args.select) == (True, Path("market"), "okx__*")


@pytest.mark.parametrize("command", ["migrate", "status", "gaps", "fill", "doctor", "demo", "up"])
def test_every_command_can_speak_json_and_explain_itself(command, capsys):
    assert parser().parse_args([command, "--json"]).command == command
    with pytest.raises(SystemExit) as ended:
        parser().parse_args([command, "--help"])
    assert ended.value.code == 0
    assert f"backfill {command}" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--db", "X", "dismiss", "7", "9", "7"], ["dismiss", "7", "9", "--db", "X"]])
def test_findings_are_dismissed_in_the_database_that_is_named_wherever_it_is_named(words):
    args = parser().parse_args(["findings", *words, "--reason", "seen  it"])
    assert (args.command, args.action, args.ids, args.reason) == ("findings", "dismiss", [7, 9], "seen it")
    assert (args.db, args.json) == ("X", False)


def test_a_list_for_a_person_to_decide_on_is_of_what_is_open_unless_more_is_asked_for():
    listed = parser().parse_args(["quarantine", "list"])
    assert (listed.action, listed.status, listed.limit, listed.symbols) == ("list", "pending", 100, None)
    found = parser().parse_args(["findings", "--status", "all", "--kinds", "a,b", "--limit", "5"])
    assert (found.action, found.status, found.kinds, found.limit) == (None, "all", ["a", "b"], 5)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "required: COMMAND"),
        (["file"], "invalid choice: 'file'"),
        (["fill", "--symbol-list", "BTC-USDT"], "unrecognized arguments: --symbol-list"),
        (["fill", "BTC-USDT"], "unrecognized arguments: BTC-USDT"),
        (["fill", "--symbols"], "--symbols: expected one argument"),
        (["fill", "--symbols", " , "], "--symbols: names nothing"),
        (["gaps", "--timeframes", ""], "--timeframes: names nothing"),
        (["fill", "--from", "yesterday"], "'yesterday' is not a time"),
        (["fill", "--from", "20260131"], "'20260131' is not a time"),
        (["gaps", "--to", ""], "--to: names no time"),
        (["status", "--from", "2026-01-31"], "unrecognized arguments: --from"),
        (["status", "--sources", "blofin"], "unrecognized arguments: --sources"),
        (["quarantine"], "required: ACTION"),
        (["quarantine", "release"], "required: ID"),
        (["quarantine", "discard", "0"], "'0' is no number from 1 on"),
        (["quarantine", "discard", "٣"], "is no number from 1 on"),
        (["quarantine", "list", "--limit", "9999999999999999999"], "is no number from 1 on"),
        (["quarantine", "list", "--status", "open"], "invalid choice: 'open'"),
        (["findings", "dismiss", "1"], "required: --reason"),
        (["findings", "dismiss", "1", "--reason", " "], "--reason: it says nothing"),
        (["correct", "--reason", "typo"], "required: FILE.csv"),
        (["correct", "a.csv"], "required: --reason"),
    ],
)
def test_words_that_make_no_sense_end_with_2_and_say_which(words, complaint, capsys):
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(words)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


def test_the_version_is_the_packages(capsys):
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"backfill {__version__}\n"
