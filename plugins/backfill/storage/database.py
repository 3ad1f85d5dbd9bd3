"""Connections to Postgres, with driver errors as our own types."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo
from psycopg.rows import TupleRow

from backfill.errors import (
    ConnectionsExhausted,
    DatabaseAccessDenied,
    DatabaseError,
    DatabaseUnreachable,
    SchemaMissing,
)
from backfill.storage.session import Session, is_lost

Connection = Session
T = TypeVar("T")

ACCESS_DENIED = (
    psycopg.errors.InvalidAuthorizationSpecification,
    psycopg.errors.InvalidPassword,
    psycopg.errors.InsufficientPrivilege,
)
# The client sees no SQLSTATE of a refused connection.
_REFUSED_WORDS = re.compile(
    "password authentication failed|no password supplied|pg_hba.conf|permission denied"
    '|role ".*" (does not exist|is not permitted)'
)
_FULL = re.compile("too many (clients|connections)|remaining connection slots")
# What to do, by SQLSTATE or its class.
CURES = {
    "25006": "it is a standby, or default_transaction_read_only is on: name the primary server, or reset the setting",
    "25P03": "raise idle_in_transaction_session_timeout for this role",
    "40": "other sessions work on the same rows again and again: run it again later",
    "42501": "`backfill doctor` names the rights that are missing, include/sql/roles.sql grants them",
    "53100": "free space on the server's disk",
    "53300": "raise CONNECTION LIMIT of the role or database, or max_connections; or put pgbouncer between",
    "55P03": "another session holds a lock for longer than lock_timeout: end it, or raise lock_timeout for this role",
    "57014": "statement_timeout is shorter than this work: ALTER ROLE ... SET statement_timeout = '10min'",
    "57P05": "raise idle_session_timeout for this role",
}
# Other programs' parameters, which libpq refuses; `pgbouncer` means that a pooler stands between.
NOT_FOR_LIBPQ = ("pgbouncer", "schema", "connection_limit", "pool_timeout", "socket_timeout", "statement_cache_size")
_LIBPQ_OPTIONS = {one.keyword.decode(): one.dispchar == b"*" for one in Conninfo.get_defaults()}
SECRET_OPTIONS = tuple(name for name, is_secret in _LIBPQ_OPTIONS.items() if is_secret)
UNREADABLE = "an address that cannot be read"


def connect(uri: str, *, application_name: str = "backfill", sleep: Callable[[float], None] = time.sleep) -> Connection:
    """Open an autocommit session with our settings, in the schema ``backfill`` and UTC.

    Raises :class:`DatabaseUnreachable` or :class:`DatabaseAccessDenied`, without the password.
    """
    address, pooled = _for_libpq(uri)
    try:
        return Session(address, pooled=pooled, application_name=application_name, sleep=sleep)
    except psycopg.OperationalError as error:
        raise _refusal(uri, error) from None
    except (psycopg.ProgrammingError, ValueError) as error:
        # libpq's message may quote the password.
        why = "" if "password" in uri or "@" in uri else f": {_one_line(error)}"
        raise DatabaseUnreachable(f"{without_password(uri)!r} is not a Postgres address{why}") from None
    except psycopg.Error as error:  # of the first statement
        raise DatabaseError(f"{without_password(uri)}: {_one_line(error)}{_cure(error)}") from error


def _for_libpq(uri: str) -> tuple[str, bool]:
    """The address without other programs' parameters; whether it names a pooler."""
    base, mark, text = uri.partition("?")
    if not mark or "://" not in base:
        return uri, False
    options = [option.partition("=") for option in text.split("&")]
    pooled = any(name == "pgbouncer" and value.lower() in ("true", "1", "") for name, _, value in options)
    kept = "&".join("".join(option) for option in options if option[0] not in NOT_FOR_LIBPQ)
    return f"{base}?{kept}" if kept else base, pooled


def repeated(connection: Connection, work: Callable[[], T]) -> T:
    """``work``, a whole transaction with translated errors, again after a passing fault."""

    def untranslated() -> T:
        try:
            return work()
        except DatabaseError as error:
            if isinstance(error.__cause__, psycopg.Error):
                raise error.__cause__ from None
            raise

    with translated_errors():
        return connection.repeated(untranslated)


@contextmanager
def translated_errors(uri: str | None = None) -> Iterator[None]:
    """Raise psycopg's errors as :class:`DatabaseError` or a subclass."""
    where = "the database" if uri is None else without_password(uri)
    try:
        yield
    except ACCESS_DENIED as error:
        raise DatabaseAccessDenied(f"{where}: {_one_line(error)}{_cure(error)}") from error
    except (
        psycopg.errors.UndefinedTable,
        psycopg.errors.InvalidSchemaName,
        psycopg.errors.UndefinedFunction,
    ) as error:
        raise SchemaMissing(f"{where} lacks our tables ({_one_line(error)}): run `backfill migrate`") from error
    except psycopg.Error as error:
        if is_lost(error):
            raise DatabaseUnreachable(f"{where} went away: {_one_line(error)}{_cure(error)}") from error
        raise DatabaseError(f"{where}: {_one_line(error)}{_cure(error)}") from error


def without_password(uri: str) -> str:
    """The address without passwords, or a fixed text if unclear."""
    try:
        if "://" not in uri:
            options: dict[str, Any] = conninfo_to_dict(uri)
            return make_conninfo("", **{name: options[name] for name in options if name not in SECRET_OPTIONS})
        parts = urlsplit(uri)
    except (psycopg.ProgrammingError, ValueError):
        return UNREADABLE
    user, at, host = parts.netloc.rpartition("@")
    if not at and "@" in uri:
        return UNREADABLE
    options_shown = [option for option in map(_shown, parts.query.split("&")) if option]
    return urlunsplit(parts._replace(netloc=user.split(":")[0] + at + host, query="&".join(options_shown)))


def _shown(option: str) -> str:
    """A mistyped name may precede a password, and a password may lack a name."""
    name, equals, _ = option.partition("=")
    if name in SECRET_OPTIONS or not option:
        return ""
    if name in _LIBPQ_OPTIONS or name in NOT_FOR_LIBPQ:
        return option
    return f"{name}=..." if equals else "..."


def _cure(error: psycopg.Error) -> str:
    state = error.sqlstate or ""
    cure = CURES.get(state) or CURES.get(state[:2])
    return f" ({cure})" if cure else ""


def _refusal(uri: str, error: psycopg.OperationalError) -> DatabaseError:
    message = f"{without_password(uri)}: {_one_line(error)}"
    if _REFUSED_WORDS.search(str(error)):
        return DatabaseAccessDenied(message)
    if _FULL.search(str(error)):
        return ConnectionsExhausted(f"{message} ({CURES['53300']})")
    return DatabaseUnreachable(message)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def fetch_one(connection: Connection, sql: Any, params: Any = None) -> TupleRow:
    """The single row of ``sql``."""
    row = connection.execute(sql, params).fetchone()
    if row is None:
        raise DatabaseError(f"no row where one was certain: {sql!r:.80}")
    return row
