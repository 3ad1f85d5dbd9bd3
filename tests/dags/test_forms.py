"""The trigger forms: each field has a title and a place, and symbols are chosen from the universe."""

from __future__ import annotations

from pathlib import Path

import pytest

DAGS = Path(__file__).parents[2] / "dags"


def universe(folder, content):
    file = folder / "universe.yaml"
    file.write_text(content)
    return str(file)


@pytest.fixture
def dags(airflow_home, tmp_path, monkeypatch):
    """All Dags with a universe of their own; `candles_review` is absent on Airflow 2."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # Airflow 2
        from airflow.models.dagbag import DagBag

    content = "instruments: [BTC-USDT, ETH-USDT]\ntimeframes: {1m: 1d, 1h: 7d}\n"
    monkeypatch.setenv("BACKFILL_UNIVERSE", universe(tmp_path, content))
    return DagBag(DAGS).dags


def test_each_field_has_a_title_and_a_description_and_the_symbols_are_those_of_the_universe(dags):
    fields = {(dag_id, name): dag.params.get_param(name) for dag_id, dag in dags.items() for name in dag.params}

    untitled = [key for key, field in fields.items() if not (field.schema.get("title") and field.description)]
    offered = {dag_id: field.schema.get("examples") for (dag_id, name), field in fields.items() if name == "symbols"}

    assert untitled == []
    assert sorted(offered) == ["candles_catch_up", "candles_export", "candles_fill_gaps"]
    assert all(symbols == ["BTC-USDT", "ETH-USDT"] for symbols in offered.values())
    sections = [field.schema.get("section") for (dag_id, _), field in fields.items() if dag_id == "candles_catch_up"]
    assert list(dict.fromkeys(sections)) == ["Which candles", "Window", "How"]


@pytest.mark.parametrize(
    "content",
    [
        "instruments: all\ntimeframes: {1h: 1d}\n",
        "instruments: [BTC-USDT\n",
        "instruments: [BTC-USDT]\ntimeframes: {7m: 1d}\n",
        f"instruments: [{', '.join(f'C{number}-USDT' for number in range(501))}]\ntimeframes: {{1h: 1d}}\n",
        "# " + "long " * 8_000,
        None,
    ],
)
def test_where_no_symbols_can_be_offered_they_are_typed_in(content, airflow_home, tmp_path, monkeypatch):
    from backfill.dag_parts.forms import series_fields, universe_symbols

    file = universe(tmp_path, content) if content is not None else str(tmp_path / "none.yaml")
    monkeypatch.setenv("BACKFILL_UNIVERSE", file)

    assert universe_symbols() == []
    assert "examples" not in series_fields()["symbols"].schema
