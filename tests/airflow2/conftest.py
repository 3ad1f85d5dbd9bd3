"""Airflow 2.11 and nothing else: `make test-airflow2` installs it, into a venv of its own."""

from __future__ import annotations

from importlib.metadata import version

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    on_airflow2 = version("apache-airflow").startswith("2.")
    for item in items:
        if "airflow2" in item.keywords and not on_airflow2:
            item.add_marker(pytest.mark.skip(reason="needs Airflow 2.11: run `make test-airflow2`"))
