from pathlib import Path

import pytest

from backfill.config import resources
from backfill.errors import ConfigurationError


@pytest.mark.parametrize("include", ["backfill/include", "../include"])
def test_include_is_found_inside_the_package_and_beside_the_plugins_folder(
    include: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "plugins" / "backfill"
    package.mkdir(parents=True)
    folder = (package.parent / include).resolve()
    (folder / "sql" / "schema").mkdir(parents=True)
    for name in ("0002_b.sql", "0001_a.sql"):
        (folder / "sql" / "schema" / name).touch()
    monkeypatch.setattr(resources, "_PACKAGE", package)
    monkeypatch.setattr(resources, "_BESIDE_PLUGINS", tmp_path)

    assert resources.include_dir() == folder
    assert [file.name for file in resources.schema_files()] == ["0001_a.sql", "0002_b.sql"]
    assert resources.query_file("select_x") == folder / "sql" / "queries" / "select_x.sql"


def test_a_deployment_without_include_is_told_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "plugins" / "backfill")
    monkeypatch.setattr(resources, "_BESIDE_PLUGINS", tmp_path)
    with pytest.raises(ConfigurationError, match=f"no folder 'include' in .* or {tmp_path}"):
        resources.include_dir()
