"""The wheel is whole, and Airflow finds the plugin exactly once however the project is deployed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Any

import pytest

from airflow_line import ON_AIRFLOW_2

ROOT = Path(__file__).parents[2]
PLUGINS = ROOT / "plugins"
DISTRIBUTION = "airflow-provider-candle-keeper"

FROM_THE_WHEEL = f"""
import json
from importlib.metadata import distribution
import backfill
from backfill.config import resources
from backfill.storage.migrations import known_migrations
from backfill.storage.named_queries import query
found = {{ep.group: ep.load().__name__ for ep in distribution({DISTRIBUTION!r}).entry_points}}
print(json.dumps({{
    "package": backfill.__file__,
    "include": str(resources.include_dir()),
    "dags": sorted(file.name for file in resources.dags_dir().glob("*.py")),
    "migrations": len(known_migrations()),
    "query": query("series/select_overview"),
    "entry_points": found,
}}))
"""
AS_AIRFLOW_SEES_IT = """
import json, sys
from airflow import plugins_manager
from airflow.providers_manager import ProvidersManager
print(json.dumps({
    "plugins": [[info["name"], str(info["source"])] for info in plugins_manager.get_plugin_info()],
    "apps": [app["url_prefix"] for app in plugins_manager.get_fastapi_plugins()[0]],
    "import_errors": plugins_manager.get_import_errors(),
    "shadowing": sorted({"errors", "settings", "fill_gaps"} & set(sys.modules)),
    "form": sorted(name for name in ProvidersManager().connection_form_widgets if "blofin" in name),
}))
"""


@pytest.fixture(scope="module")
def bare_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site-packages of this interpreter without this project, which is installed there as editable."""
    bare = tmp_path_factory.mktemp("site")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(DISTRIBUTION.replace("-", "_")):
            (bare / entry.name).symlink_to(entry)
    return bare


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(target)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed_wheel(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pure wheel is installed by unpacking it."""
    target = tmp_path_factory.mktemp("installed")
    zipfile.ZipFile(wheel).extractall(target)
    return target


def run(script: str, path: list[Path], home: Path, **settings: str) -> dict[str, Any]:
    """The JSON that ``script`` prints last, run with ``path`` and without any .pth file."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
    environment = {
        **kept,
        **settings,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": os.pathsep.join(map(str, path)),
    }
    done = subprocess.run(
        [sys.executable, "-S", "-c", script], env=environment, cwd=home, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_the_wheel_holds_the_package_and_both_folders_and_nothing_else(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    wanted = {
        f"{inside}/{file.relative_to(folder).as_posix()}"
        for folder, inside in (
            (PLUGINS / "backfill", "backfill"),
            (ROOT / "include", "backfill/include"),
            (ROOT / "dags", "backfill/dags"),
        )
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert held == wanted


def test_everything_is_found_from_the_wheel(installed_wheel: Path, bare_site: Path, tmp_path: Path) -> None:
    found = run(FROM_THE_WHEEL, [installed_wheel, bare_site], tmp_path)
    assert found == {
        "package": str(installed_wheel / "backfill" / "__init__.py"),
        "include": str(installed_wheel / "backfill" / "include"),
        "dags": sorted(file.name for file in (ROOT / "dags").glob("*.py")),
        "migrations": len(list((ROOT / "include" / "sql" / "schema").glob("*.sql"))),
        "query": (ROOT / "include" / "sql" / "queries" / "series" / "select_overview.sql").read_text(),
        "entry_points": {
            "console_scripts": "main",
            "airflow.plugins": "BackfillPlugin",
            "apache_airflow_provider": "get_provider_info",
        },
    }


@pytest.mark.skipif(ON_AIRFLOW_2, reason="asks Airflow 3's own managers")
@pytest.mark.parametrize(
    ("with_folder", "with_wheel", "source"),
    [
        pytest.param(True, False, "$PLUGINS_FOLDER/register_backfill_ui.py", id="plugins folder only"),
        pytest.param(False, True, f"{DISTRIBUTION}==", id="wheel only"),
        pytest.param(True, True, f"{DISTRIBUTION}==", id="both"),
    ],
)
def test_airflow_registers_the_plugin_exactly_once(
    with_folder: bool, with_wheel: bool, source: str, installed_wheel: Path, bare_site: Path, tmp_path: Path
) -> None:
    folder = PLUGINS if with_folder else tmp_path / "no plugins"
    path = [installed_wheel, bare_site] if with_wheel else [bare_site]
    seen = run(AS_AIRFLOW_SEES_IT, path, tmp_path, AIRFLOW__CORE__PLUGINS_FOLDER=str(folder))

    ((name, came_from),) = seen["plugins"]
    assert (name, seen["apps"], seen["import_errors"]) == ("backfill", ["/backfill"], {})
    assert came_from.startswith(source)
    assert seen["shadowing"] == [], "files of the package were run as top-level modules"
    # The form needs the distribution's entry point: a mere folder cannot announce a connection type.
    assert seen["form"] == (["extra__blofin__proxies", "extra__blofin__timeout_s"] if with_wheel else [])
