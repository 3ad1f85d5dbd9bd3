"""Connections to Postgres, with driver errors as our own types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow

from backfill.errors import DatabaseAccessDenied, DatabaseError, DatabaseUnreachable, SchemaMissing

Connection = psycopg.Connection[TupleRow]

CONNECT_TIMEOUT_S = 10
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
# SQLSTATE classes of a lost connection and a shutdown; without SQLSTATE libpq lost it.
_AWAY = ("08", "57P")
SECRET_OPTIONS = ("password", "sslpassword")
UNREADABLE = "an address that cannot be read"


def connect(uri: str, *, application_name: str = "backfill") -> Connection:
    """Open an autocommit connection in the schema ``backfill`` and UTC.

    Raises :class:`DatabaseUnreachable` or :class:`DatabaseAccessDenied`, without the password.
    """
    try:
        connection = psycopg.connect(
            uri,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name=application_name,
            # A dead peer is noticed in a minute; by default in two hours.
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
        )
    except psycopg.OperationalError as error:
        raise _refusal(uri, error) from None
    except (psycopg.ProgrammingError, ValueError) as error:
        # libpq's message may quote the password.
        why = "" if "password" in uri or "@" in uri else f": {_one_line(error)}"
        raise DatabaseUnreachable(f"{without_password(uri)!r} is not a Postgres address{why}") from None
    with translated_errors(uri):
        connection.execute("SELECT set_config('search_path', 'backfill,public', false)")
        connection.execute("SELECT set_config('timezone', 'UTC', false)")
    return connection


@contextmanager
def translated_errors(uri: str | None = None) -> Iterator[None]:
    """Raise psycopg's errors as :class:`DatabaseError` or a subclass."""
    where = "the database" if uri is None else without_password(uri)
    try:
        yield
    except ACCESS_DENIED as error:
        raise DatabaseAccessDenied(f"{where}: {_one_line(error)}") from error
    except (
        psycopg.errors.UndefinedTable,
        psycopg.errors.InvalidSchemaName,
        psycopg.errors.UndefinedFunction,
    ) as error:
        raise SchemaMissing(f"{where} lacks our tables ({_one_line(error)}): run `backfill migrate`") from error
    except psycopg.Error as error:
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and _is_away(error):
            raise DatabaseUnreachable(f"{where} went away: {_one_line(error)}") from error
        raise DatabaseError(f"{where}: {_one_line(error)}") from error


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
    options_shown = [option for option in parts.query.split("&") if option.split("=")[0] not in SECRET_OPTIONS]
    return urlunsplit(parts._replace(netloc=user.split(":")[0] + at + host, query="&".join(options_shown)))


def _refusal(uri: str, error: psycopg.OperationalError) -> DatabaseError:
    message = f"{without_password(uri)}: {_one_line(error)}"
    if _REFUSED_WORDS.search(str(error)):
        return DatabaseAccessDenied(message)
    return DatabaseUnreachable(message)


def _is_away(error: psycopg.Error) -> bool:
    return error.sqlstate is None or error.sqlstate.startswith(_AWAY)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def fetch_one(connection: Connection, sql: Any, params: Any = None) -> TupleRow:
    """The single row of ``sql``."""
    row = connection.execute(sql, params).fetchone()
    if row is None:
        raise DatabaseError(f"no row where one was certain: {sql!r:.80}")
    return row
