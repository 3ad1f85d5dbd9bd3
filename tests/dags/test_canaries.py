"""Planted secrets turn up neither in Airflow's logs and XComs nor in our tables, whatever becomes of a run."""

from __future__ import annotations

import logging
import socket

import psycopg
import pytest

from canaries import found_in, source_with_secrets, tables, with_password
from workers import WORKER

pytestmark = pytest.mark.long


@pytest.mark.parametrize("proxy", ["dead", "none"])
def test_a_run_writes_no_secret_down(
    db, run_dag, exchange, database_uri, postgres_server, airflow_home, monkeypatch, caplog, capfd, proxy
):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{closed.getsockname()[1]}" if proxy == "dead" else None
    monkeypatch.setenv("AIRFLOW_CONN_CANDLES_DB", with_password(database_uri))
    monkeypatch.setenv("AIRFLOW_CONN_BLOFIN_DEFAULT", source_with_secrets(exchange.url, dead))
    caplog.set_level(logging.INFO)

    run = run_dag({"timeframes": ["1h"]})

    assert run.state == ("failed" if proxy == "dead" else "success")
    said = capfd.readouterr()
    places = {"log": caplog.text, "output": said.out + said.err, "errors": repr(run.errors)}
    places |= {str(file): file.read_text(errors="replace") for file in airflow_home.rglob("*.log")}
    with psycopg.connect(postgres_server.uri(f"airflow_{WORKER}")) as metadata:
        places |= tables(metadata, "public")
    places |= tables(db, "backfill")
    assert places["public.xcom"]
    assert found_in(places) == []
