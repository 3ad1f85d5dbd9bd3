"""Task defaults of all Dags."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from backfill.errors import (
    AddressBanned,
    ConfigurationError,
    GeoBlocked,
    RateLimited,
    RequestRefused,
    SymbolNotListed,
)
from backfill.hooks.refusal import RunRefused

# A killed task counts as a try.
TASK_ARGS: dict[str, Any] = {
    "owner": "backfill",
    "retries": 2,
    "retry_delay": timedelta(minutes=1),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
    "execution_timeout": timedelta(hours=2),
}

try:
    from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
except ImportError:  # Airflow 2 has one rule for all errors
    pass
else:
    TASK_ARGS["retry_policy"] = ExceptionRetryPolicy(
        rules=[
            RetryRule(
                exception=[ConfigurationError, RunRefused],
                action=RetryAction.FAIL,
                reason="a setting, a parameter or the universe file must be mended first",
            ),
            RetryRule(
                exception=SymbolNotListed,
                action=RetryAction.FAIL,
                reason="the exchange does not know the instrument",
            ),
            RetryRule(
                exception=GeoBlocked,
                action=RetryAction.FAIL,
                reason="the exchange does not serve the country that this address is in",
            ),
            RetryRule(
                exception=RequestRefused,
                action=RetryAction.FAIL,
                reason="the exchange has refused the question itself",
            ),
            RetryRule(
                exception=AddressBanned,
                action=RetryAction.RETRY,
                retry_delay=timedelta(minutes=6),
                reason="Blofin's firewall shuts an address out for five minutes",
            ),
            RetryRule(
                exception=RateLimited,
                action=RetryAction.RETRY,
                retry_delay=timedelta(minutes=5),
                reason="Blofin suspends an address for five minutes",
            ),
        ]
    )
