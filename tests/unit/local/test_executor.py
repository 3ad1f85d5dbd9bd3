"""What runs the local stack's tasks."""

from __future__ import annotations

import stat
from contextlib import ExitStack
from pathlib import Path

import pytest

from backfill.errors import ConfigurationError
from backfill.local import executor
from backfill.local.executor import LOCAL, celery_executor, executor_of


def test_without_celery_workers_the_scheduler_has_its_own_and_nothing_else_starts(tmp_path: Path) -> None:
    with ExitStack() as stack:
        assert executor_of(stack, tmp_path, 0) is LOCAL
    assert [*LOCAL.servers, *LOCAL.workers, *tmp_path.iterdir()] == []


def test_redis_has_a_password_that_only_its_owner_reads_and_keeps_nothing_on_disk(tmp_path: Path) -> None:
    made = celery_executor(tmp_path, 6380, 2)

    (command,) = made.servers.values()
    conf = Path(command[-1])
    settings = dict(line.split(" ", 1) for line in conf.read_text().splitlines() if not line.startswith("#"))
    password = settings["requirepass"]
    assert len(password) >= 32
    assert made.options["CELERY__BROKER_URL"] == f"redis://:{password}@127.0.0.1:6380/0"
    assert {settings[name] for name in ("bind", "save", "appendonly")} == {"127.0.0.1", '""', "no"}
    assert not any(password in word for words in (command, *made.workers.values()) for word in words)
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "airflow").iterdir()} == {0o600}
    assert celery_executor(tmp_path, 6380, 2).options == made.options, "the password is made once"


def test_workers_have_names_and_pid_files_of_their_own(tmp_path: Path) -> None:
    workers = celery_executor(tmp_path, 6380, 3).workers

    assert [*workers] == ["worker-1", "worker-2", "worker-3"]
    assert len({words[words.index("--pid") + 1] for words in workers.values()}) == 3
    assert len({words[words.index("--celery-hostname") + 1] for words in workers.values()}) == 3


def test_what_is_missing_is_named_with_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "PROVIDER", "no-such-package")
    with pytest.raises(ConfigurationError, match="no-such-package is not installed here: run `make demo-celery`"):
        executor.require_celery()
    monkeypatch.setattr(executor, "PROVIDER", "pytest")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigurationError, match="redis-server is not on PATH: run `scripts/install_redis"):
        executor.require_celery()
