"""Which failure of a task is tried again, and when."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_line import ON_AIRFLOW_2
from backfill.errors import (
    AddressBanned,
    BadPayload,
    ContradictoryAnswer,
    DatabaseUnreachable,
    ExchangeUnreachable,
    GeoBlocked,
    InvalidWindow,
    RateLimited,
    RequestRefused,
    SchemaMissing,
    SeriesBusy,
    SettingsInvalid,
    SymbolNotListed,
    UnknownSymbol,
)

pytestmark = pytest.mark.skipif(ON_AIRFLOW_2, reason="Airflow 2 has no retry policies")


@pytest.fixture
def decide(airflow_home):
    """What the policy says to an error on a task's first try of three."""
    from backfill.dag_parts.defaults import TASK_ARGS

    return lambda error: TASK_ARGS["retry_policy"].evaluate(error, 1, 3)


@pytest.mark.parametrize(
    "error",
    [
        UnknownSymbol("NOPE-USDT", ["BTC-USDT"]),
        InvalidWindow(0, 0, "the start is not before the end"),
        SettingsInvalid(["BACKFILL_DB: no"]),
        SymbolNotListed("blofin", "GONE-USDT"),
        RequestRefused("blofin", "parameter bar error"),
        GeoBlocked("blofin", "HTTP 451"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_a_person_must_mend_fails_at_once_with_the_reason(error, decide):
    decision = decide(error)
    assert decision.action.value == "fail"
    assert decision.reason


@pytest.mark.parametrize(
    ("error", "delay", "reason"),
    [
        (RateLimited("blofin", "429", 300), timedelta(minutes=5), "suspends"),
        (AddressBanned("blofin", "403", 300), timedelta(minutes=6), "firewall"),
    ],
    ids=["RateLimited", "AddressBanned, which is a RateLimited too"],
)
def test_a_suspension_is_waited_out(error, delay, reason, decide):
    decision = decide(error)
    assert (decision.action.value, decision.retry_delay) == ("retry", delay)
    assert reason in decision.reason


@pytest.mark.parametrize(
    "error",
    [
        ExchangeUnreachable("blofin", "HTTP 503"),
        BadPayload("blofin", "not JSON"),
        ContradictoryAnswer("blofin", "has nothing before"),
        DatabaseUnreachable("went away"),
        SchemaMissing("run `backfill migrate`"),
        SeriesBusy("BTC-USDT", "1m", 600, "another"),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_may_pass_is_tried_again_as_the_task_says(error, decide):
    assert decide(error).action.value == "default"


def test_the_policy_survives_the_way_to_the_scheduler(airflow_home):
    from airflow.sdk import ExceptionRetryPolicy

    from backfill.dag_parts.defaults import TASK_ARGS

    policy = TASK_ARGS["retry_policy"]
    back = ExceptionRetryPolicy.deserialize(policy.serialize())
    banned = AddressBanned("blofin", "403", 300)
    assert back.evaluate(banned, 1, 3) == policy.evaluate(banned, 1, 3)
