"""Which of the two Airflow lines the tests run on."""

from __future__ import annotations

from importlib.metadata import version

ON_AIRFLOW_2 = version("apache-airflow").startswith("2.")
