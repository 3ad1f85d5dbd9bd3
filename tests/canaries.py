"""Secrets that are planted, and the places where none may turn up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql

# "/" and "@" are what a person forgets to percent-encode.
CANARIES = {
    "database password": "canary-db-5d1",
    "api key": "canary-key-77a",
    "api secret": "canary-secret-e03",
    "proxy password": "canary-proxy-b9c",
}


def with_password(uri: str) -> str:
    """``uri`` of the test server, which trusts everybody, with a password that it does not ask for."""
    base, mark, options = uri.partition("?")
    user = f"postgres:{CANARIES['database password']}@"
    scheme, _, rest = base.partition("://")
    return f"{scheme}://{user}{rest.rpartition('@')[2]}{mark}{options}"


def source_with_secrets(url: str, proxy: str | None = None, **more: Any) -> str:
    """A source's Airflow connection as JSON; ``proxy``: its host and port."""
    extra: dict[str, Any] = dict(more)
    if proxy is not None:
        extra["proxies"] = f"http://me:{CANARIES['proxy password']}@{proxy}"
    connection = {
        "conn_type": "generic",
        "host": url,
        "login": CANARIES["api key"],
        "password": CANARIES["api secret"],
        "extra": extra,
    }
    return json.dumps(connection)


def found_in(places: Mapping[str, str]) -> list[tuple[str, str]]:
    """Place and secret of each that has turned up, as it is or percent-encoded."""
    return [
        (place, name)
        for place, text in places.items()
        for name, secret in CANARIES.items()
        if secret in text or quote(secret, safe="") in text
    ]


def tables(connection: psycopg.Connection[Any], *schemas: str) -> dict[str, str]:
    """Every row of every table and view of the schemas, as text by table."""
    named = connection.execute(
        "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema = ANY (%s)", (list(schemas),)
    ).fetchall()
    dumped = {}
    for schema, table in (tuple(row.values()) if isinstance(row, dict) else row for row in named):
        every = sql.SQL("SELECT t::text AS line FROM {} AS t").format(sql.Identifier(schema, table))
        dumped[f"{schema}.{table}"] = "\n".join(str(row) for row in connection.execute(every).fetchall())
    return dumped
