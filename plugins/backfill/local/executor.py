"""What runs the local stack's tasks: the scheduler's own workers, or Celery's with a Redis of their own."""

from __future__ import annotations

import secrets
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from backfill.errors import ConfigurationError
from backfill.local.airflow_settings import HOST, kept
from backfill.local.ports import reserved_port

REDIS_PORT = 6379
SLOTS = 2  # of a worker
PROVIDER = "apache-airflow-providers-celery"
REDIS_CONF = """# Rewritten at each start. The broker holds only what Airflow queues again, so it keeps nothing on disk.
bind {host}
port {port}
requirepass {password}
save ""
appendonly no
dir {folder}
set-proc-title no
"""


@dataclass(frozen=True)
class Executor:
    """``options``: Airflow's, by SECTION__KEY. ``servers`` start before it, ``workers`` after it: commands by name."""

    options: Mapping[str, str]
    servers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    workers: Mapping[str, Sequence[str]] = field(default_factory=dict)


# Workers live as long as the scheduler: see scheduler.py.
LOCAL = Executor({"CORE__EXECUTOR": "LocalExecutor", "CORE__MP_START_METHOD": "fork"})


def executor_of(stack: ExitStack, home: Path, celery_workers: int) -> Executor:
    """Celery's with that many workers, none: the scheduler's own. ``stack`` holds the port of Redis."""
    if not celery_workers:
        return LOCAL
    require_celery()
    return celery_executor(home, stack.enter_context(reserved_port(None, REDIS_PORT, "a port")), celery_workers)


def celery_executor(home: Path, port: int, workers: int) -> Executor:
    """A private Redis on ``port``, with a password made at the first start, and the workers."""
    folder = home / "airflow"
    password = kept(folder / "redis.json", {"password": secrets.token_urlsafe(32)})["password"]
    conf = folder / "redis.conf"
    conf.touch(mode=0o600)
    conf.write_text(REDIS_CONF.format(host=HOST, port=port, password=password, folder=folder))
    options = {
        "CORE__EXECUTOR": "CeleryExecutor",
        "CORE__PARALLELISM": str(SLOTS * workers),
        "CELERY__BROKER_URL": f"redis://:{password}@{HOST}:{port}/0",
        "CELERY__WORKER_CONCURRENCY": str(SLOTS),
        "CELERY__OPERATION_TIMEOUT": "10",  # a busy machine answers late
    }
    commands = {f"worker-{number}": _worker(folder, f"worker-{number}") for number in range(1, workers + 1)}
    return Executor(options, {"redis": ["redis-server", str(conf)]}, commands)


def require_celery() -> None:
    """Raise ConfigurationError unless both programs are here."""
    try:
        version(PROVIDER)
    except PackageNotFoundError:
        raise ConfigurationError(f"{PROVIDER} is not installed here: run `make demo-celery`") from None
    if shutil.which("redis-server") is None:
        raise ConfigurationError("redis-server is not on PATH: run `scripts/install_redis.sh`")


def _worker(folder: Path, name: str) -> list[str]:
    own = ["--celery-hostname", f"{name}@%h", "--pid", str(folder / f"{name}.pid")]
    return [sys.executable, "-m", "airflow", "celery", "worker", "--skip-serve-logs", *own]
