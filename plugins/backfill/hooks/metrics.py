"""Figures for Airflow's metrics, whichever backend is set."""

from __future__ import annotations

import re
from collections.abc import Iterable

from airflow.providers.common.compat.sdk import Stats

from backfill.storage.alerts import Metric

NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]")


def send_metrics(metrics: Iterable[Metric]) -> None:
    """A gauge ``candles.<name>.<timeframe or source>`` each.

    StatsD has no tags, so the name has it all; the tag repeats it for other backends.
    """
    for one in metrics:
        of_what = NOT_IN_A_NAME.sub("_", one.of_what)
        Stats.gauge(f"candles.{one.name}.{of_what}", one.value, tags={one.kind: of_what})
