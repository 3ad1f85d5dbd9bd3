"""Where Postgres and the exchanges are: from an argument, ``BACKFILL_*``, or an Airflow connection.

The command line reads Airflow's environment variables, hooks pass Airflow's connections. Every fault is
:class:`SettingsInvalid`.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from backfill.config.addresses import http_url, postgres_uri, proxy_url
from backfill.config.airflow_uri import AirflowConnection, json_object, parse_connection
from backfill.config.env_file import DATABASE_URL
from backfill.config.older_names import say
from backfill.config.settings import MAX_TIMEOUT_S, load_settings
from backfill.config.source_names import is_source, why_no_source
from backfill.errors import SettingsInvalid

DATABASE_VARIABLE = "AIRFLOW_CONN_CANDLES_DB"
# Extras that Airflow's PostgresHook keeps; libpq refuses unknown ones.
NOT_FOR_LIBPQ = {
    *("iam", "redshift", "redshift-serverless", "cluster-identifier", "workgroup-name", "aws_conn_id"),
    *("azure_conn_id", "cursor", "sqlalchemy_scheme", "sqlalchemy_query"),
}
EXTRA_KEYS = ("proxies", "timeout_s", "options")
PROXIED = ("http", "https", "all")
WEB = ("http", "https")


@dataclass(frozen=True, slots=True)
class SourceConnection:
    """How to reach a source; None or empty: its public defaults.

    ``proxies`` as for `requests` (request scheme → proxy), ``options`` as for ccxt.
    """

    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    api_secret: str | None = field(default=None, repr=False)
    proxies: dict[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float | None = None
    options: dict[str, Any] = field(default_factory=dict, repr=False)


def database_uri(db: str | None = None, environ: Mapping[str, str] | None = None) -> str:
    """The candles' libpq URI: ``db``, else BACKFILL_DB, else AIRFLOW_CONN_CANDLES_DB, else DATABASE_URL."""
    given = os.environ if environ is None else environ
    if db:
        with _faults_of("--db"):
            return postgres_uri(db)
    if secret := load_settings(given).db:
        return secret.get_secret_value()
    if text := given.get(DATABASE_VARIABLE, "").strip():
        with _faults_of(DATABASE_VARIABLE):
            return database_connection(DATABASE_VARIABLE, parse_connection(text))
    if text := given.get(DATABASE_URL, "").strip():  # of older jobs: the last resort
        with _faults_of(DATABASE_URL):
            uri = postgres_uri(text)
        say(f"the database is that of {DATABASE_URL}; BACKFILL_DB replaced it")
        return uri
    raise SettingsInvalid([f"no database is named: give --db URI, or set BACKFILL_DB or {DATABASE_VARIABLE}"])


def database_connection(name: str, connection: AirflowConnection) -> str:
    """The libpq URI of the Airflow connection ``name``.

    Airflow's schema is the database, a host with slashes a socket folder, extras are libpq options (sslmode, ...), as
    for PostgresHook.
    """
    with _faults_of(name):
        if not re.fullmatch(r"postgres(ql)?(\+\w+)?|", connection.conn_type or ""):
            raise ValueError(f"is of type {connection.conn_type}; the candles are in Postgres")
        options = [
            f"{quote(key, safe='')}={quote(_libpq_value(key, value), safe='')}"
            for key, value in connection.extra_dejson.items()
            if key not in NOT_FOR_LIBPQ
        ]
    login = quote(connection.login or "", safe="")
    password = f":{quote(connection.password, safe='')}" if connection.password else ""
    host = connection.host or ""
    host = f"[{host}]" if ":" in host and "/" not in host else quote(host, safe="")
    port = f":{connection.port}" if connection.port else ""
    authority = f"{login}{password}@{host}{port}" if login or password else f"{host}{port}"
    query = f"?{'&'.join(options)}" if options else ""
    return f"postgresql://{authority}/{quote(connection.schema or '', safe='')}{query}"


def source_from_environment(source: str, environ: Mapping[str, str] | None = None) -> SourceConnection:
    """AIRFLOW_CONN_<SOURCE>_DEFAULT, with BACKFILL_<SOURCE>_URL as base URL if set."""
    given = os.environ if environ is None else environ
    if not is_source(source):
        raise SettingsInvalid([why_no_source(source)])
    url = load_settings(given).source_urls.get(source)
    name = f"AIRFLOW_CONN_{source.upper()}_DEFAULT"
    text = given.get(name, "").strip()
    if not text:
        return SourceConnection(base_url=url)
    with _faults_of(name):
        connection = source_connection(name, parse_connection(text))
    return replace(connection, base_url=url or connection.base_url)


def source_connection(name: str, connection: AirflowConnection) -> SourceConnection:
    """The source settings in the Airflow connection ``name``.

    Host, port and path make the base URL, https unless host, type (``http://...``) or schema says http. Login and
    password are API key and secret.
    """
    extra = connection.extra_dejson
    with _faults_of(name):
        if unknown := sorted(extra.keys() - set(EXTRA_KEYS)):
            raise ValueError(f"extra has an unknown key {', '.join(unknown)}; known are {', '.join(EXTRA_KEYS)}")
        return SourceConnection(
            base_url=_base_url(connection),
            api_key=connection.login or None,
            api_secret=connection.password or None,
            proxies=_proxies(extra.get("proxies")),
            timeout_s=_timeout_s(extra.get("timeout_s")),
            options=json_object(extra.get("options") or {}, "extra.options"),
        )


def _base_url(connection: AirflowConnection) -> str | None:
    """Airflow's schema is the protocol if http(s), else the URL's path."""
    host, port = connection.host or "", connection.port
    protocol = next((name for name in (connection.schema, connection.conn_type) if name in WEB), "https")
    path = "" if connection.schema in WEB else (connection.schema or "").strip("/")
    if not host:
        if port or path:
            raise ValueError("has a port or a path but no host")
        return None
    if "://" not in host:
        host = f"{protocol}://[{host}]" if host.count(":") > 1 else f"{protocol}://{host}"
    scheme, _, rest = host.partition("://")
    address, _, path_of_host = rest.partition("/")
    if port and address.endswith(f":{port}"):
        port = None
    url = f"{scheme}://{address}{f':{port}' if port else ''}"
    return http_url("/".join(part for part in (url, path_of_host.strip("/"), path) if part))


def _proxies(value: object) -> dict[str, str]:
    """One URL for all, or per http, https, all; also as JSON text."""
    if isinstance(value, str) and not value.lstrip().startswith("{"):
        value = {"http": value, "https": value} if value.strip() else {}
    proxies = json_object(value or {}, "extra.proxies")
    if unknown := sorted(proxies.keys() - set(PROXIED)):
        raise ValueError(f"extra.proxies has an unknown key {', '.join(unknown)}; known are {', '.join(PROXIED)}")
    try:
        return {key: proxy_url(str(url)) for key, url in proxies.items()}
    except ValueError as error:
        raise ValueError(f"extra.proxies: {error}") from None


def _timeout_s(value: object) -> float | None:
    if value in (None, ""):
        return None
    try:
        timeout_s = float(str(value))
    except ValueError:
        timeout_s = math.nan
    if not 0 < timeout_s <= MAX_TIMEOUT_S:
        raise ValueError(f"extra.timeout_s is not a number of seconds up to {MAX_TIMEOUT_S}")
    return timeout_s


def _libpq_value(key: str, value: object) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if not isinstance(value, (str, int, float)):
        raise ValueError(f"extra.{key} is neither text nor a number, so libpq cannot take it")  # noqa: TRY004
    return str(value)


@contextmanager
def _faults_of(name: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise SettingsInvalid([f"{name}: {error}"]) from None
