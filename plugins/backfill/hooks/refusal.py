"""A run that cannot be done as asked fails at once, with one line that `report` repeats."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from backfill.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Context

try:
    from airflow.sdk import ExceptionRetryPolicy  # noqa: F401 - ends the retries of a task that has exited
except ImportError:  # Airflow 2
    from airflow.providers.common.compat.sdk import AirflowFailException

    Ending: Any = AirflowFailException
else:
    Ending = SystemExit  # the only end of a task that Airflow logs without a traceback

# Name of the XCom with the sentence.
KEY = "refused"


class RunRefused(Ending):  # type: ignore[misc]
    """A parameter, setting or universe file must be corrected first; the sentence says which."""


@contextmanager
def refused_in_one_line(context: Context) -> Iterator[None]:
    """Turn a :class:`ConfigurationError` into :class:`RunRefused`; keep the sentence for `report`."""
    try:
        yield
    except ConfigurationError as error:
        sentence = " ".join(str(error).split())
        context["ti"].xcom_push(key=KEY, value=sentence)
        raise RunRefused(sentence) from None
