"""Where the SQL, universe and Dags are.

In a wheel inside the package (``backfill/include``, ``backfill/dags``), else beside ``plugins/``.
"""

from pathlib import Path

from backfill.errors import ConfigurationError

_PACKAGE = Path(__file__).resolve().parents[1]
_BESIDE_PLUGINS = _PACKAGE.parent.parent


def include_dir() -> Path:
    """The folder of ``universe.yaml`` and ``sql/``."""
    return _folder("include")


def dags_dir() -> Path:
    """The folder that Airflow's Dag processor reads."""
    return _folder("dags")


def schema_files() -> list[Path]:
    """The numbered schema files, in order."""
    return sorted((include_dir() / "sql" / "schema").glob("*.sql"))


def query_file(name: str) -> Path:
    """One query's file, e.g. of ``"series/select_overview"``."""
    return include_dir() / "sql" / "queries" / f"{name}.sql"


def _folder(name: str) -> Path:
    for parent in (_PACKAGE, _BESIDE_PLUGINS):
        if (parent / name).is_dir():
            return parent / name
    raise ConfigurationError(f"no folder {name!r} in {_PACKAGE} or {_BESIDE_PLUGINS}")
