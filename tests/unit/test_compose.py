"""docker-compose.yaml against the published schema, and against what a schema cannot say."""

from __future__ import annotations

import importlib.util
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from backfill import __version__
from backfill.config.connections import database_uri
from backfill.config.env_file import parse_env
from backfill.config.older_names import KNOBS, fill_options
from backfill.config.settings import load_settings
from unit.test_older_names import ENV_OF_000, ENV_OF_001, ENV_OF_004

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
TEXT = (ROOT / "docker-compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
AIRFLOW = sorted(name for name, service in SERVICES.items() if "build" in service)
EXAMPLE = dict(re.findall(r"^([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
# ${NAME}, ${NAME:-default}, ${NAME:?message}; "$$" is a dollar sign for the container's own shell.
VARIABLE = re.compile(r"(?<!\$)\$\{([A-Z_]+)(?::([-?])([^}]*))?\}")


def airflow_options() -> set[str]:
    """``AIRFLOW__SECTION__KEY`` of every option that the installed Airflow documents."""
    spec = importlib.util.find_spec("airflow")
    assert spec is not None
    assert spec.origin is not None
    documented = yaml.safe_load((Path(spec.origin).parent / "config_templates" / "config.yml").read_text())
    return {
        f"AIRFLOW__{section}__{option}".upper()
        for section, description in documented.items()
        for option in description["options"]
    }


def test_it_is_what_the_compose_specification_allows() -> None:
    vendored = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    jsonschema.validate(COMPOSE, json.loads(vendored.read_text()))


def test_every_part_of_airflow_and_of_its_surroundings_is_there() -> None:
    commands = {tuple(SERVICES[name]["command"][1:]) for name in AIRFLOW if name not in ("init", "data_backfill")}
    assert commands == {("api-server",), ("scheduler",), ("dag-processor",), ("triggerer",), ("celery", "worker")}
    assert set(SERVICES) - set(AIRFLOW) == {"postgres", "redis"}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_is_checked_and_restarted_or_runs_once(name: str) -> None:
    service = SERVICES[name]
    runs_once = service["restart"] == "no"
    assert ("healthcheck" in service) != runs_once
    assert runs_once or service["restart"] == "unless-stopped"


def test_only_services_with_a_health_check_are_waited_for_as_healthy() -> None:
    for service in SERVICES.values():
        for awaited, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[awaited]
            else:
                assert how["condition"] == "service_completed_successfully"
                assert SERVICES[awaited]["restart"] == "no"


def test_nothing_of_airflow_starts_before_the_schemas_are_there() -> None:
    assert all("init" in SERVICES[name]["depends_on"] for name in AIRFLOW if name != "init")


def test_every_service_has_bounds_and_gains_no_rights() -> None:
    for service in SERVICES.values():
        assert service.keys() >= {"mem_limit", "pids_limit"}
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert DOCKERFILE.rstrip().splitlines()[-1] == "USER airflow"


def test_workers_can_be_scaled() -> None:
    assert SERVICES["worker"].keys().isdisjoint({"container_name", "hostname", "ports", "deploy", "scale"})


def test_all_airflow_services_share_one_image_one_configuration_and_the_mounted_project() -> None:
    for name in AIRFLOW:
        service = SERVICES[name]
        assert service["image"] == f"${{CANDLE_KEEPER_IMAGE:-candle-keeper:{__version__}}}"
        assert service["environment"].items() >= SERVICES["api-server"]["environment"].items()
        assert {f"./{folder}:/opt/airflow/{folder}:ro" for folder in ("dags", "plugins", "include")} <= set(
            service["volumes"]
        )


def test_images_are_pinned_to_a_version() -> None:
    base = re.findall(r"^ARG PYTHON_IMAGE=(\S+)\nFROM \$\{PYTHON_IMAGE}$", DOCKERFILE, re.MULTILINE)
    assert base
    pulled = [service["image"] for service in SERVICES.values() if "build" not in service]
    assert all(re.search(r":\d+\.\d+", image) for image in [*base, *pulled])


def test_every_variable_is_in_the_example_and_every_line_of_the_example_is_used() -> None:
    assert {name for name, _, _ in VARIABLE.findall(TEXT)} == set(EXAMPLE)


def test_secrets_have_no_default_and_all_else_has_the_one_of_the_example() -> None:
    required, defaults = set(), {}
    for name, mark, text in VARIABLE.findall(TEXT):
        if mark == "?":
            required.add(name)
        elif mark == "-":
            defaults[name] = text
    assert dict.fromkeys(required, "") | defaults == EXAMPLE
    assert all(re.search(r"PASSWORD$|KEY$|SECRET$", name) for name in required)


def test_no_secret_is_written_into_the_file() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|KEY$|SECRET$", name):
                assert VARIABLE.fullmatch(value), name
            elif "://" in str(value) and "@" in str(value):
                assert VARIABLE.search(value.partition("://")[2].partition("@")[0]), name


def test_ports_are_open_to_this_host_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("${BIND_ADDRESS:-127.0.0.1}:") for port in ports)


def test_every_setting_is_one_that_airflow_knows() -> None:
    ours = {name for name in SERVICES["worker"]["environment"] if name.startswith("AIRFLOW__")}
    from_the_celery_provider = {name for name in ours if name.startswith("AIRFLOW__CELERY__")}
    assert ours - from_the_celery_provider <= airflow_options()


def test_not_everybody_is_an_administrator() -> None:
    assert "ALL_ADMINS" not in TEXT.upper()
    assert SERVICES["api-server"]["environment"]["AIRFLOW__CORE__AUTH_MANAGER"].endswith("FabAuthManager")


def test_files_named_in_the_compose_file_and_in_the_dockerfile_exist() -> None:
    mounted = {volume.split(":")[0] for s in SERVICES.values() for volume in s.get("volumes", []) if volume[0] == "."}
    copied = re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.MULTILINE)
    named = mounted | {source for line in copied for source in line.split()}
    assert {name for name in named if not (ROOT / name).exists()} == set()
    allowed = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert {source for line in copied for source in line.split()} == set(allowed)


# -- what the containers are given ---------------------------------------------------------------------------


def rendered(service: str, env: str) -> dict[str, str]:
    """A service's environment as compose renders it: its env_file, then `environment` with its variables filled in."""
    values = parse_env(env)

    def filled(match: re.Match[str]) -> str:
        name, mark, text = match.groups()
        if values.get(name):
            return values[name]
        assert mark != "?", f"{name}: {text}"
        return text or ""

    files = SERVICES[service].get("env_file", [])
    from_file = values if any(file["path"] == ".env" for file in files) else {}
    return from_file | {
        name: VARIABLE.sub(filled, str(value)) for name, value in SERVICES[service]["environment"].items()
    }


SECRETS = "".join(f"{name}=secret\n" for name, value in EXAMPLE.items() if not value)


@pytest.mark.parametrize("name", AIRFLOW)
def test_settings_of_the_env_file_reach_every_container_and_are_settings_we_know(name: str) -> None:
    older = "BACKFILL_LOOKBACK_HOURS=168   # 7 days (was 16)\nBACKFILL_SYMBOL_SLEEP_MS=500\nSYMBOLS=BTC/USDT\n"
    environment = rendered(name, SECRETS + older)
    assert load_settings(environment).lookback_hours == 168
    assert database_uri(None, environment) == "postgresql://backfill:secret@postgres/candles"


@pytest.mark.parametrize("older", [ENV_OF_000, ENV_OF_001, ENV_OF_004], ids=["000", "001", "004"])
def test_the_env_files_of_the_older_systems_stop_no_container_and_the_job_does_what_they_say(older: str) -> None:
    for name in AIRFLOW:
        environment = rendered(name, SECRETS + older)
        assert load_settings(environment).home is not None
        assert database_uri(None, environment) == "postgresql://backfill:secret@postgres/candles"
    job = rendered("data_backfill", SECRETS + older)
    knobs = fill_options({name: value for name, value in job.items() if name in KNOBS})
    wanted = ["--symbols", "BTC/USDT,ETH/USDT", "--timeframes", "1m", "--batch-limit", "1000", "--sleep-ms", "200"]
    assert knobs == (wanted if "SYMBOLS" in older else [])


def test_the_one_shot_job_takes_the_older_names_and_ends_with_the_runs_code() -> None:
    service = SERVICES["data_backfill"]
    assert (service["profiles"], service["restart"], service["command"]) == (["backfill"], "no", ["backfill", "fill"])
    assert load_settings(rendered("data_backfill", SECRETS)).older_names is True
    assert load_settings(rendered("worker", SECRETS)).older_names is False


def test_a_file_that_is_not_there_stops_no_service() -> None:
    assert all(file["required"] is False for name in AIRFLOW for file in SERVICES[name]["env_file"])
