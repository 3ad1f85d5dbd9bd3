"""The pages over a database with everything in it, behind a prefix, beside as much of Airflow's API as they use."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

from backfill.domain.timeframes import utc
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.ui.answers import Rights
from backfill.ui.api import Pages
from backfill.ui.coverage_app import coverage_app
from browser.made import bars_of_gap, make_everything
from integration.helpers import NOW_MS, store_bars
from waiting import PATIENCE_S, wait_for


@pytest.fixture
def pages_url(database_uri: str) -> Iterator[str]:
    """The pages at a fixed moment; what Fill starts ends at once, with the gap's bars stored."""
    with CandleStore(connect(database_uri)) as store:
        window = make_everything(store)

    def fill() -> None:
        with CandleStore(connect(database_uri)) as store:
            store_bars(store, window, bars_of_gap())

    pages = coverage_app(
        Pages(lambda: connect(database_uri), clock=lambda: utc(NOW_MS)),
        lambda: None,
        deciding=lambda: None,
        rights=lambda: Rights(may_fill=True, may_decide=True),
    )
    airflow = _airflow(fill)
    airflow.mount("/prefix/backfill", pages)
    server = uvicorn.Server(uvicorn.Config(airflow, host="127.0.0.1", port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for("the pages' server", lambda: server.started)
    (port,) = {socket.getsockname()[1] for one in server.servers for socket in one.sockets}
    yield f"http://127.0.0.1:{port}/prefix/backfill"
    server.should_exit = True
    thread.join(PATIENCE_S)


def _airflow(fill: Callable[[], None]) -> FastAPI:
    app = FastAPI()
    dags = "/prefix/api/v2/dags"

    @app.get(f"{dags}/{{dag_id}}")
    def dag(dag_id: str) -> dict[str, Any]:
        return {"dag_id": dag_id, "is_paused": False, "next_dagrun_run_after": utc(NOW_MS + 1_770_000).isoformat()}

    @app.post(f"{dags}/candles_catch_up/dagRuns")
    def trigger(body: dict[str, Any]) -> dict[str, Any]:
        assert body["conf"]["symbols"] == ["BTC-USDT"]
        fill()
        return {"dag_run_id": "manual__1", "state": "queued"}

    @app.get(f"{dags}/candles_catch_up/dagRuns/{{run_id}}")
    def run(run_id: str) -> dict[str, Any]:
        return {"dag_run_id": run_id, "state": "success"}

    return app
