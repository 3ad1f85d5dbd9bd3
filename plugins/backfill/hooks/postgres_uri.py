"""An Airflow connection as an address that libpq understands."""

from __future__ import annotations

from typing import Any, Protocol
from urllib.parse import quote, urlencode

from psycopg import pq


class AirflowConnection(Protocol):
    """What we read of Airflow's ``Connection``; it is one class on Airflow 2 and another on Airflow 3."""

    host: str | None
    port: int | None
    login: str | None
    password: str | None
    schema: str | None

    @property
    def extra_dejson(self) -> dict[str, Any]: ...


def postgres_uri(connection: AirflowConnection) -> str:
    """``postgresql://...`` with every part quoted.

    Airflow's ``schema`` is the database; a host with slashes is a socket's folder. Of the extras those that
    libpq knows (sslmode, sslrootcert, options, ...) are kept; the rest are Airflow's own.
    """
    user = quote(connection.login or "", safe="")
    if connection.password:
        user += ":" + quote(connection.password, safe="")
    host = quote(connection.host or "", safe="")
    port = f":{connection.port}" if connection.port else ""
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    extras = {name: value for name, value in connection.extra_dejson.items() if name in known}
    address = f"postgresql://{user}@{host}{port}" if user else f"postgresql://{host}{port}"
    database = "/" + quote(connection.schema or "", safe="")
    return address + database + (f"?{urlencode(extras, quote_via=quote)}" if extras else "")
