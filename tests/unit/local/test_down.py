"""What `make clean` deletes, and what it must not."""

from __future__ import annotations

from pathlib import Path

from backfill.local.down import remove_home


def test_a_home_that_holds_nothing_else_is_deleted(tmp_path: Path) -> None:
    home = tmp_path / ".backfill"
    for folder in ("airflow/bundles", "logs", "demo", "replay-1234abcd"):
        (home / folder).mkdir(parents=True)
    (home / "stack.lock").touch()
    (home / "airflow" / "keys.json").touch()

    remove_home(home)

    assert list(tmp_path.iterdir()) == []


def test_a_home_that_was_set_to_a_folder_in_use_keeps_what_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    (tmp_path / "logs").mkdir()

    remove_home(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
