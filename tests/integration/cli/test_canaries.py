"""Planted secrets never turn up: not on the terminal, not in the log, the tables, the files or the pages."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import pytest

from backfill.paper.limits import NO_LIMITS
from backfill.paper.venues import paper_exchange
from backfill.storage.database import connect
from canaries import CANARIES, found_in, source_with_secrets, tables, with_password
from integration.cli.conftest import Cli
from integration.exchange import PaperBlofin
from integration.helpers import NOW_MS
from integration.ui.pages import call, pages_of

pytestmark = pytest.mark.long

UNIVERSE = "instruments: [BTC-USDT]\ntimeframes: {1m: 3h, 1h: 2d}\nsources: [blofin, okx]\n"
COMMANDS = [
    ("status",),
    ("gaps",),
    ("fill", "--dry-run"),
    ("fill",),
    ("validate",),
    ("doctor",),
    ("findings",),
    ("audit",),
    ("condition", "BTC-USDT"),
    ("declare", "--dry-run"),
    ("quarantine", "list"),
    ("segments", "list"),
    ("explain", "BTC-USDT", "1m", "2026-01-31T12:00Z"),
]
PAGES = ["/", "/api/overview", "/api/gaps", "/api/runs", "/api/findings", "/api/quarantine", "/openapi.json"]


@pytest.mark.parametrize("proxy", ["dead", "none"])
def test_a_planted_secret_is_shown_nowhere_whatever_works_and_whatever_fails(
    cli: Cli,
    environment: pytest.MonkeyPatch,
    live_exchange: PaperBlofin,
    database_uri: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    proxy: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "universe.yaml").write_text(UNIVERSE)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{closed.getsockname()[1]}" if proxy == "dead" else None
    environment.setenv("BACKFILL_DB", with_password(database_uri))
    environment.delenv("BACKFILL_BLOFIN_URL")
    environment.setenv("BACKFILL_HTTP_TIMEOUT_S", "2")
    with paper_exchange("okx", live_exchange.market, limits=NO_LIMITS) as okx:
        environment.setenv("AIRFLOW_CONN_BLOFIN_DEFAULT", source_with_secrets(live_exchange.url, dead))
        environment.setenv("AIRFLOW_CONN_OKX_DEFAULT", source_with_secrets(okx.url, dead, options={"password": "x"}))
        said = {}
        for command in COMMANDS:
            for as_json in ((), ("--json",)):
                result = cli(*command, *as_json)
                said[" ".join((*command, *as_json))] = result.out + result.err
    assert ('"failed"' in said["fill --json"]) == (proxy == "dead")
    with connect(database_uri) as connection:
        dumped = tables(connection, "backfill")
    assert "gap_fill_runs" in " ".join(dumped)
    pages = {path: call(pages_of(database_uri, NOW_MS), path).text for path in PAGES}

    assert found_in({**said, **dumped, **pages, "log": caplog.text}) == []


DB, KEY, SECRET, PROXY = CANARIES.values()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BACKFILL_DB", f"postgresql://u:{DB}@127.0.0.1:1/db"),
        ("BACKFILL_DB", f"postgresql://u@127.0.0.1:1/db?passwort={DB}"),
        ("BACKFILL_DB", f"postgresql://u@127.0.0.1:1/db?{DB}"),
        ("BACKFILL_DB", f"postgresql://u:{DB}@127.0.0.1:port/db"),
        ("BACKFILL_DB", f"postgresql://u:{DB}/x@127.0.0.1:1/db"),
        ("BACKFILL_DB", f"postgresql://u:{DB}@x@127.0.0.1:1/db"),
        ("BACKFILL_DB", f"postgresql://u:{DB}%@127.0.0.1:1/db"),
        ("BACKFILL_DB", f"mysql://u:{DB}@127.0.0.1:1/db"),
        ("BACKFILL_DB", f"host=127.0.0.1 password={DB}"),
        ("BACKFILL_DB", f"postgresql:/u:{DB}@127.0.0.1/db"),
        ("BACKFILL_BLOFIN_URL", f"http://me:{SECRET}@127.0.0.1:1"),
        ("BACKFILL_BLOFIN_URL", f"http://127.0.0.1:1/?passwort={SECRET}"),
        ("BACKFILL_BLOFIN_URL", f"http://127.0.0.1:{SECRET}"),
        ("AIRFLOW_CONN_CANDLES_DB", f"postgresql://u:{DB}@127.0.0.1:port/db"),
        ("AIRFLOW_CONN_CANDLES_DB", f"postgresql://u@127.0.0.1:1/db?passwort={DB}"),
        ("AIRFLOW_CONN_CANDLES_DB", f'{{"conn_type": "postgres", "password": {{"{DB}": 1}}}}'),
        ("AIRFLOW_CONN_CANDLES_DB", f'{{"conn_type": "postgres", "password": "{DB}"'),
        ("AIRFLOW_CONN_BLOFIN_DEFAULT", f"generic://{KEY}:{SECRET}@host:port"),
        ("AIRFLOW_CONN_BLOFIN_DEFAULT", f"generic://{KEY}:{SECRET}@127.0.0.1:1?passwort={SECRET}"),
        ("AIRFLOW_CONN_BLOFIN_DEFAULT", f'{{"host": "http://{KEY}:{SECRET}@127.0.0.1:1"}}'),
        ("AIRFLOW_CONN_BLOFIN_DEFAULT", source_with_secrets("http://127.0.0.1:1", "127.0.0.1:port")),
        ("AIRFLOW_CONN_BLOFIN_DEFAULT", source_with_secrets("http://127.0.0.1:1", f"h/?passwort={PROXY}")),
        ("AIRFLOW_CONN_BLOFIN_DEFAULT", source_with_secrets("http://127.0.0.1:1", proxies=f"ftp://me:{PROXY}@h")),
        ("AIRFLOW_CONN_BLOFIN_DEFAULT", source_with_secrets("http://127.0.0.1:1", proxies=f"http://me:{PROXY}@[::1")),
        ("AIRFLOW_CONN_BLOFIN_DEFAULT", source_with_secrets("http://127.0.0.1:1", proxies=f"http://me:{PROXY}@")),
        (
            "AIRFLOW_CONN_BLOFIN_DEFAULT",
            source_with_secrets("http://127.0.0.1:1", proxies=f"socks5://m:{PROXY}@127.0.0.1:1"),
        ),
        ("AIRFLOW_CONN_BLOFIN_DEFAULT", source_with_secrets("http://127.0.0.1:1", timeout_s=SECRET)),
        ("AIRFLOW_CONN_BLOFIN_DEFAULT", source_with_secrets("http://127.0.0.1:1", options=f"{SECRET}")),
    ],
)
def test_a_secret_in_an_address_that_is_wrong_is_not_repeated(
    cli: Cli, environment: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, variable: str, value: str
) -> None:
    caplog.set_level(logging.DEBUG)
    if "DB" in variable:
        environment.delenv("BACKFILL_DB")
    environment.delenv("BACKFILL_BLOFIN_URL")
    environment.setenv(variable, value)
    environment.setenv("BACKFILL_HTTP_TIMEOUT_S", "2")

    said = {
        f"{command} {' '.join(as_json)}": cli(command, *as_json)
        for command, as_json in (("fill", ("--json",)), ("doctor", ()))
    }

    assert {result.code for result in said.values()} <= {1, 2}
    assert found_in({name: result.out + result.err for name, result in said.items()} | {"log": caplog.text}) == []
