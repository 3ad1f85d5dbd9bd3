"""What schemathesis makes up from the API's own description is answered as described, and never by a fault."""

from __future__ import annotations

from contextlib import suppress

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks as described
from schemathesis.specs.openapi.schemas import OpenApiSchema

from backfill.storage.candle_store import CandleStore, QuarantinedRow
from backfill.storage.findings import Finding
from integration.helpers import DAY_MS, HOUR_MS, MINUTE_MS, NOON_MS, candles, opens, store_bars, wanted_series
from integration.ui.pages import pages_of

EXAMPLES = 10
CHECKS = [
    not_a_server_error,
    described.status_code_conformance,
    described.content_type_conformance,
    described.response_schema_conformance,
    described.unsupported_method,
]
KEPT = {"symbol": "BTC-USDT", "timeframe": "1m"}

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient` is deprecated"),
]


@pytest.fixture
def schema(database_uri: str, store: CandleStore) -> OpenApiSchema:
    """The API over a day of bars with a hole, a finding and a row in quarantine."""
    window = wanted_series(store, sources=("blofin", "okx"))
    broken = QuarantinedRow(NOON_MS - HOUR_MS, "high_is_not_highest", {"h": "1"})
    store_bars(store, window, candles(opens(NOON_MS - DAY_MS, NOON_MS - HOUR_MS)), quarantined=[broken])
    store.findings.record(
        [Finding("cross_source", "disagree", window.series_id, None, NOON_MS - DAY_MS, NOON_MS - DAY_MS + MINUTE_MS)]
    )
    app: FastAPI = pages_of(database_uri)
    return schemathesis.openapi.from_asgi("/openapi.json", app)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("series", [None, KEPT], ids=["any series", "a kept series"])
def test_no_request_is_answered_by_a_fault_or_otherwise_than_described(
    schema: OpenApiSchema, mode: GenerationMode, series: dict[str, str] | None
) -> None:
    asked = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if series and "{symbol}" not in operation.path:
            continue

        @seed(14)
        @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(operation.as_strategy(mode, **({"path_parameters": series} if series else {})))
        def ask(case: Case) -> None:
            case.call_and_validate(checks=CHECKS)

        with suppress(Unsatisfiable):  # a route without parameters has no wrong ones
            ask()
            asked += 1
    assert asked >= (3 if series else 15)
