"""Ask the real exchanges once before a stack is started for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from backfill.config.connections import source_from_environment
from backfill.config.settings import Settings
from backfill.config.universe_file import load_universe
from backfill.errors import LocalStackFailed
from backfill.jobs.status.doctor import HealthCheck, source_checks
from backfill.sources.runtime import Runtime

# Each source is asked once, all at the same time: without a network the stack ends within half a minute, even where a
# name server that does not answer takes ten seconds of it.
ANSWER_WITHIN_S = 4.0


def require_a_source(
    database: str, settings: Settings, note: Callable[[str], None], environ: Mapping[str, str] | None = None
) -> None:
    """Note each source that does not answer. Raises :class:`LocalStackFailed` with all errors if none does.

    ``environ`` has the sources' connections; default: the process's.
    """
    sources = load_universe(settings.universe, settings.profile).all_sources()
    quick = settings.model_copy(update={"http_timeout_s": min(settings.http_timeout_s, ANSWER_WITHIN_S)})
    connection_of = partial(source_from_environment, environ=environ)
    with Runtime(database, quick, connection_of, read_only=True) as runtime:
        checks = [one for one in source_checks(runtime, sources) if one.check.startswith("source ")]
    failed = [one for one in checks if one.state != "ok"]
    # A pause of the primary source is over some time; then its first run goes on.
    if checks and checks[0].state == "failed" and len(failed) == len(checks):
        raise LocalStackFailed(
            "no source answers, so there is nothing to fill from:\n" + "\n".join(f"  {_told(one)}" for one in failed)
        )
    for one in failed:
        note(_told(one))


def _told(check: HealthCheck) -> str:
    name = check.check.removeprefix("source ")
    detail = check.detail if check.detail.startswith(f"{name}:") else f"{name}: {check.detail}"
    return f"{detail} -> {check.advice}"
