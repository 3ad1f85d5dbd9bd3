"""Exit codes of what goes wrong before there is a database: 2 for bad usage and settings, 1 for a failure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from backfill.cli.main import main
from waiting import PATIENCE_S

PLUGINS = Path(__file__).parents[3] / "plugins"
# Nobody listens on port 1.
NOWHERE = "postgresql://quant:pa55word@127.0.0.1:1/candles"
NEED_A_DATABASE = ["migrate", "status", "gaps", "fill", "validate"]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of ours, whatever the developer has set."""
    for name in os.environ:
        if name.startswith(("BACKFILL_", "AIRFLOW_CONN_")):
            monkeypatch.delenv(name)


def run(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code and all that is told; standard output has a document or nothing."""
    code = main(words)
    told = capsys.readouterr()
    assert bool(told.out) == ("--json" in words), "a program is told on standard output"
    return code, told.err + told.out


def test_words_that_make_no_sense_are_bad_usage(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["fill", "--from", "yesterday"])
    assert ended.value.code == 2


@pytest.mark.parametrize("command", NEED_A_DATABASE)
def test_without_a_named_database_the_ways_to_name_one_are_told(command, capsys):
    code, told = run(command, capsys=capsys)
    assert code == 2
    assert "--db URI" in told
    assert "BACKFILL_DB" in told
    assert "AIRFLOW_CONN_CANDLES_DB" in told


@pytest.mark.parametrize("command", NEED_A_DATABASE)
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_database_that_does_not_answer_is_a_failure_that_keeps_the_password(command, flags, capsys):
    code, told = run(command, "--db", NOWHERE, *flags, capsys=capsys)
    assert code == 1
    assert told.startswith("error: ")
    assert "127.0.0.1" in told
    assert "pa55word" not in told


@pytest.mark.parametrize("address", ["candles", "mysql://localhost/candles", "postgresql://localhost:99999/candles"])
def test_an_address_that_is_none_is_bad_usage(address, capsys):
    code, told = run("status", "--db", address, capsys=capsys)
    assert code == 2
    assert "--db" in told


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("BACKFILL_BATCHLIMIT", "100", "did you mean BACKFILL_BATCH_LIMIT?"),
        ("BACKFILL_BATCH_LIMIT", "1441", "less than or equal to 1440"),
        ("BACKFILL_TIMEFRAMES", "1m,7m", "unknown timeframe '7m'"),
        ("BACKFILL_BLOFIN_URL", "blofin", "not an http(s) URL"),
    ],
)
@pytest.mark.parametrize("command", ["status", "gaps", "fill"])
def test_a_setting_that_cannot_be_meant_is_named_before_anything_is_done(
    command, name, value, advice, capsys, monkeypatch
):
    monkeypatch.setenv(name, value)
    code, told = run(command, "--db", NOWHERE, capsys=capsys)
    assert code == 2
    assert name in told
    assert advice in told


def test_a_source_that_nobody_serves_is_named_before_anything_is_done(capsys):
    code, told = run("fill", "--db", NOWHERE, "--sources", "blofin,nowhere", capsys=capsys)
    assert code == 2
    assert "--sources: unknown source 'nowhere'" in told


def test_the_command_is_a_program_too():
    ended = subprocess.run(
        [sys.executable, "-m", "backfill.cli.main", "status", "--db", NOWHERE],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PLUGINS)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "Traceback" not in ended.stderr
    assert "pa55word" not in ended.stderr


def test_the_command_line_needs_neither_airflow_nor_ccxt_nor_pandas_to_refuse_a_question():
    program = (
        "import sys; from backfill.cli.main import main; code = main(['fill', '--sources', 'nowhere']); "
        "print(code, sorted({'airflow', 'ccxt', 'pandas'} & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PLUGINS)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert ended.stdout == "2 []\n"
