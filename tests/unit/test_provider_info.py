import importlib.util
import json
from pathlib import Path
from typing import Any

import jsonschema

import backfill
from backfill.config.connections import EXTRA_KEYS
from backfill.config.settings import MAX_TIMEOUT_S
from backfill.hooks.airflow2_form import field_behaviour
from backfill.hooks.provider_info import BLOFIN_CONNECTION, get_provider_info


def airflow_schema(name: str) -> dict[str, Any]:
    """A schema that Airflow ships, read without importing Airflow."""
    spec = importlib.util.find_spec("airflow")
    assert spec is not None
    assert spec.origin is not None
    schema: dict[str, Any] = json.loads((Path(spec.origin).parent / name).read_text())
    return schema


def test_airflow_accepts_the_provider_info() -> None:
    jsonschema.validate(get_provider_info(), airflow_schema("provider_info.schema.json"))
    for_the_form = airflow_schema("provider.yaml.schema.json")["properties"]["connection-types"]
    jsonschema.validate(get_provider_info()["connection-types"], for_the_form)


def test_airflow_2_accepts_the_same_form() -> None:
    schema = airflow_schema("customized_form_field_behaviours.schema.json")
    jsonschema.validate(field_behaviour(BLOFIN_CONNECTION), schema)


def test_the_form_offers_only_extras_that_connections_understand() -> None:
    fields = BLOFIN_CONNECTION["conn-fields"]
    assert fields.keys() <= set(EXTRA_KEYS)
    assert fields["timeout_s"]["schema"]["maximum"] == MAX_TIMEOUT_S


def test_the_form_hides_what_is_not_used_and_nothing_else() -> None:
    assert BLOFIN_CONNECTION["ui-field-behaviour"]["hidden-fields"] == ["schema", "login", "password", "extra"]


def test_every_module_of_operators_and_sensors_is_announced() -> None:
    package = Path(backfill.__file__).parent
    info = get_provider_info()
    for folder in ("operators", "sensors"):
        announced = {name for one in info[folder] for name in one["python-modules"]}
        helpers = {f"backfill.operators.{name}" for name in ("page_links", "window_operator")}
        found = {f"backfill.{folder}.{file.stem}" for file in (package / folder).glob("[!_]*.py")}
        assert announced == found - helpers
