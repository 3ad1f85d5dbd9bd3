"""Where the files that are not Python lie: SQL, the universe, the Dags.

A wheel carries them inside the package (``backfill/include``, ``backfill/dags``); in the project's tree,
and in a deployment that mounts its folders side by side, they stand beside ``plugins/``.
"""

from pathlib import Path

from backfill.errors import ConfigurationError

_PACKAGE = Path(__file__).resolve().parents[1]
_BESIDE_PLUGINS = _PACKAGE.parent.parent


def include_dir() -> Path:
    """The folder of ``universe.yaml`` and ``sql/``."""
    return _folder("include")


def dags_dir() -> Path:
    """The folder whose files Airflow's Dag processor reads."""
    return _folder("dags")


def schema_files() -> list[Path]:
    """The numbered schema files, in the order they are applied."""
    return sorted((include_dir() / "sql" / "schema").glob("*.sql"))


def query_file(name: str) -> Path:
    """The file that holds one query, e.g. ``query_file("series/select_coverage")``."""
    return include_dir() / "sql" / "queries" / f"{name}.sql"


def _folder(name: str) -> Path:
    """``name`` inside the package when it came as a wheel, else beside ``plugins/``."""
    for parent in (_PACKAGE, _BESIDE_PLUGINS):
        if (parent / name).is_dir():
            return parent / name
    raise ConfigurationError(f"no folder {name!r} in {_PACKAGE} or {_BESIDE_PLUGINS}")
