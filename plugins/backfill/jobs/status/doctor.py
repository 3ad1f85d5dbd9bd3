"""Check the installation and advise on problems."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from backfill.config.connections import database_uri, source_from_environment
from backfill.config.settings import Settings, load_settings
from backfill.config.universe_file import Universe, load_universe
from backfill.errors import (
    BackfillError,
    ConfigurationError,
    DatabaseError,
    ExchangeError,
    ExchangeUnreachable,
    GeoBlocked,
    RateLimited,
)
from backfill.jobs.fill.each_series import OTHER_CONNECTIONS, SERIES_AT_ONCE
from backfill.sources.runtime import Runtime
from backfill.storage.database import connect, without_password
from backfill.storage.fitness import OWNER, READER, WRITER, SessionFacts, missing_rights, session_facts
from backfill.storage.migrations import require_current_schema
from backfill.storage.server import server_facts

OLDEST_POSTGRES = 15
# More skew plans wrong windows, since the source's clock closes bars.
MOST_CLOCK_SKEW_S = 5.0
LEAST_CONNECTIONS, MOST_CONNECTIONS = OTHER_CONNECTIONS + 1, OTHER_CONNECTIONS + SERIES_AT_ONCE


@dataclass(frozen=True)
class HealthCheck:
    """``state``: ok, warning or failed; ``advice``: empty if ok."""

    check: str
    state: str
    detail: str
    advice: str = ""


def examine(db: str | None) -> Iterator[HealthCheck]:
    """Check settings, universe, Postgres, schema, rights, sessions, sources and clocks."""
    try:
        settings = load_settings()
        yield HealthCheck("settings", "ok", "every BACKFILL_* variable is known and sound")
    except ConfigurationError as error:
        yield HealthCheck("settings", "failed", str(error), "mend the named variables; docs/settings.md lists all")
        return
    sources: list[str] = []
    try:
        universe = load_universe(settings.universe, settings.profile)
    except ConfigurationError as error:
        advice = "mend the file; docs/decisions/0003-universe-file.md explains it"
        yield HealthCheck("universe", "failed", str(error), advice)
    else:
        yield _universe(settings, universe)
        sources = universe.all_sources()
    try:
        uri = database_uri(db)
    except ConfigurationError as error:
        yield HealthCheck("postgres", "failed", str(error), "name the database")
        return
    postgres = _postgres(uri)
    yield postgres
    if postgres.state == "failed":
        return
    schema = _schema(uri)
    yield schema
    yield from _fitness(uri, has_schema=schema.state == "ok")
    if schema.state == "ok":
        with Runtime(uri, settings, source_from_environment, read_only=True) as runtime:
            yield from source_checks(runtime, sources)


def _universe(settings: Settings, universe: Universe) -> HealthCheck:
    if universe.instruments is None:
        return HealthCheck("universe", "ok", f"{settings.universe}: all that its first source lists")
    return HealthCheck("universe", "ok", f"{settings.universe}: {len(universe.series())} series")


def _postgres(uri: str) -> HealthCheck:
    def look() -> str:
        major, database_s = server_facts(uri)
        if major < OLDEST_POSTGRES:
            raise DatabaseError(f"PostgreSQL {major} is too old: multirange aggregates came with {OLDEST_POSTGRES}")
        skew_s = time.time() - database_s
        if abs(skew_s) > MOST_CLOCK_SKEW_S:
            raise DatabaseError(f"its clock differs from this machine's by {skew_s:.1f} s: let both follow NTP")
        return f"{without_password(uri)}: PostgreSQL {major}, clock within {abs(skew_s):.1f} s"

    return _checked("postgres", look, "start Postgres, or mend the address, user or password")


def _schema(uri: str) -> HealthCheck:
    def look() -> str:
        with connect(uri) as connection:
            require_current_schema(connection)
        return "current"

    return _checked("schema", look, "run `backfill migrate`")


def _fitness(uri: str, *, has_schema: bool) -> Iterator[HealthCheck]:
    try:
        with connect(uri, application_name="backfill doctor") as connection:
            facts = session_facts(connection)
            lacks = missing_rights(connection) if has_schema else None
    except DatabaseError as error:
        yield HealthCheck("sessions", "failed", str(error), "mend what it names")
        return
    if lacks is not None:
        yield _rights(lacks)
    yield from _sessions(facts)


def _rights(lacks: Mapping[str, Sequence[str]]) -> HealthCheck:
    grant = "GRANT it; or run include/sql/roles.sql and GRANT candles_writer (to read only: candles_reader) to the role"
    if lacks[READER]:
        return HealthCheck("rights", "failed", f"it lacks {_some(lacks[READER])}", grant)
    if lacks[WRITER]:
        return HealthCheck("rights", "warning", f"it may read only: it lacks {_some(lacks[WRITER])}", grant)
    if lacks[OWNER]:
        detail = "it may read and write candles; migrate, audit --repair and prune by month are the owner's"
        return HealthCheck("rights", "ok", detail)
    return HealthCheck("rights", "ok", "it may read, write and migrate")


def _sessions(facts: SessionFacts) -> Iterator[HealthCheck]:
    left = facts.connections_left
    if facts.pooled:
        detail = "a pooler stands between: each transaction brings its settings, locks are rows of `claims`"
        yield HealthCheck("connections", "ok", detail)
    else:
        detail = f"{left} more may be opened: a run works with {LEAST_CONNECTIONS}, and uses up to {MOST_CONNECTIONS}"
        advice = "raise CONNECTION LIMIT of the role or database, or max_connections; or put pgbouncer between"
        if left is None or left >= MOST_CONNECTIONS:
            yield HealthCheck("connections", "ok", detail)
        else:
            yield HealthCheck("connections", "warning" if left >= LEAST_CONNECTIONS else "failed", detail, advice)
    if facts.is_read_only or facts.is_standby:
        why = "it is a standby" if facts.is_standby else "default_transaction_read_only is on"
        yield HealthCheck(
            "sessions", "warning", f"nothing can be written: {why}", "name the primary server, or reset it"
        )
    elif facts.timeouts:
        named = ", ".join(f"{name} = {value}" for name, value in facts.timeouts.items())
        advice = "longer work is tried three times, then fails: reset it for this role if runs name it"
        yield HealthCheck("sessions", "warning", f"the server ends our work by {named}", advice)
    else:
        yield HealthCheck("sessions", "ok", "settings are ours, no time limit ends our work")


def _some(names: Sequence[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def source_checks(runtime: Runtime, sources: Sequence[str]) -> Iterator[HealthCheck]:
    """Ask every source once, in parallel; the primary source's check is first."""
    health = {row["source"]: row for row in runtime.store.health("doctor").all()}
    with ThreadPoolExecutor(max(1, len(sources)), thread_name_prefix="doctor") as threads:
        answers = threads.map(lambda name: _source(runtime, name, name == sources[0], health.get(name, {})), sources)
        for finding, server_ms in answers:
            yield finding
            if server_ms is not None and finding.check == f"source {sources[0]}":
                yield _clock(sources[0], runtime.store.now().timestamp() - server_ms / 1000)


def _source(runtime: Runtime, name: str, is_primary: bool, health: Mapping[str, Any]) -> tuple[HealthCheck, int | None]:
    """Also return its clock in ms. A refusal by a source other than the primary is a warning, no answer a failure."""
    check, failed = f"source {name}", "failed" if is_primary else "warning"
    try:
        client = runtime.new_client(name, tries=1)
    except ConfigurationError as error:
        return HealthCheck(check, "failed", str(error), f"mend the connection {name}_default"), None
    try:
        listed, server_ms = len(client.markets()), client.server_ms
    except RateLimited as error:
        return HealthCheck(check, "warning", str(error), "wait; no process asks before the pause is over"), None
    except GeoBlocked as error:
        proxy = f"use a proxy: extra `proxies` of the connection {name}_default"
        return HealthCheck(
            check, failed, str(error), proxy if is_primary else f"{proxy}; or take it out of `sources`"
        ), None
    except ExchangeError as error:
        if isinstance(error, ExchangeUnreachable):
            failed = "failed"
        return HealthCheck(check, failed, str(error), f"check network, proxy and BACKFILL_{name.upper()}_URL"), None
    finally:
        client.close()
    if health.get("state", "closed") != "closed":
        seen = f"answers now, lists {listed} markets; it is skipped, since earlier: {health['last_error']}"
        return HealthCheck(check, "warning", seen, "nothing: the next run probes it"), server_ms
    return HealthCheck(check, "ok", f"answers, lists {listed} markets"), server_ms


def _clock(source: str, skew_s: float) -> HealthCheck:
    # The source gives whole seconds.
    if abs(skew_s) > MOST_CLOCK_SKEW_S + 1:
        detail = f"the database is {skew_s:+.0f} s off the clock of {source}"
        return HealthCheck("clock", "failed", detail, "let it follow NTP")
    return HealthCheck("clock", "ok", f"the database is within {abs(skew_s):.0f} s of the clock of {source}")


def _checked(check: str, look: Callable[[], str], advice: str) -> HealthCheck:
    try:
        return HealthCheck(check, "ok", look())
    except BackfillError as error:
        return HealthCheck(check, "failed", str(error), advice)
