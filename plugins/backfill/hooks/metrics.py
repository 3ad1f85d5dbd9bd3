"""Figures for Airflow's metrics: StatsD, Datadog or OpenTelemetry, whichever is set."""

from __future__ import annotations

import re
from collections.abc import Iterable

from airflow.providers.common.compat.sdk import Stats

from backfill.storage.alerts import Metric

NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]")


def send_metrics(metrics: Iterable[Metric]) -> None:
    """A gauge ``candles.<name>.<timeframe or source>`` each.

    StatsD knows no tags, so the name says it all; the tag repeats it for backends that do.
    """
    for one in metrics:
        of_what = NOT_IN_A_NAME.sub("_", one.of_what)
        Stats.gauge(f"candles.{one.name}.{of_what}", one.value, tags={one.kind: of_what})
