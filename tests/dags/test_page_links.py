"""Extra links of a task instance."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("symbol", "series", "gaps"),
    [
        ("BTC-USDT", "https://air.example/flow/backfill/#/?search=BTC-USDT", "https://air.example/flow/backfill/#/gaps?search=BTC-USDT"),
        # A batch: the pages show all.
        ("BTC-USDT,ETH-USDT", "https://air.example/flow/backfill/#/?search=", "https://air.example/flow/backfill/#/gaps?search="),
    ],
)  # fmt: skip
def test_a_task_links_to_its_series_and_gaps_behind_a_prefix(airflow_home, monkeypatch, symbol, series, gaps):
    from backfill.operators.blofin_candles import BlofinCandlesOperator

    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://air.example/flow")
    operator = BlofinCandlesOperator(task_id="t", symbol=symbol)
    links = {link.name: link.get_link(operator, ti_key=None) for link in operator.operator_extra_links}
    assert links == {"Series": series, "Gaps": gaps}
