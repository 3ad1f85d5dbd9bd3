"""Reads ``AIRFLOW_CONN_*`` as Airflow does, without Airflow.

Airflow docs, "Storing connections in environment variables": a URI, or JSON with the field names.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

TEXT_FIELDS = ("conn_type", "host", "schema", "login", "password")
FIELDS = (*TEXT_FIELDS, "port", "extra", "description")


class AirflowConnection(Protocol):
    """Airflow 2's connection, Airflow 3's, or :class:`ConnectionFields`.

    ``host`` may hold a URL; None and "" both mean unset.
    """

    @property
    def conn_type(self) -> str | None: ...
    @property
    def host(self) -> str | None: ...
    @property
    def schema(self) -> str | None: ...
    @property
    def port(self) -> int | None: ...
    @property
    def login(self) -> str | None: ...
    @property
    def password(self) -> str | None: ...
    @property
    def extra_dejson(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class ConnectionFields:
    """A connection without Airflow; secrets stay out of its repr."""

    conn_type: str | None = None
    host: str | None = None
    schema: str | None = None
    port: int | None = None
    login: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    extra_dejson: dict[str, Any] = field(default_factory=dict, repr=False)


def parse_connection(text: str) -> ConnectionFields:
    """Fields of a URI or JSON. ValueError never repeats the text."""
    return _from_json(text) if text.lstrip().startswith("{") else _from_uri(text.strip())


def _from_uri(uri: str) -> ConnectionFields:
    """``type://login:password@host:port/schema?extra=value``, percent-encoded.

    The host may have a protocol (``blofin://http://host``), or be an encoded URL.
    """
    match = re.fullmatch(r"(?P<type>[\w.+-]+)://((?P<protocol>\w+)://)?(?P<rest>.*)", uri)
    if match is None:
        raise ValueError("neither a URI (type://login:password@host:port/schema) nor JSON")
    if "#" in match["rest"]:
        raise ValueError("'#' cannot stand in a URI; in a password write it as %23")
    try:
        parts = urlsplit("//" + match["rest"])
        port = parts.port
    except ValueError:
        raise ValueError("its host or port cannot be read; percent-encode / : @ in login and password") from None
    address = parts.netloc.rpartition("@")[2]
    encoded = "%2f" in address.lower()  # urlsplit would lower its case
    host = unquote(address.partition(":")[0] if encoded else parts.hostname or "")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return ConnectionFields(
        conn_type=match["type"].lower(),
        host=f"{match['protocol']}://{host}" if match["protocol"] else host,
        schema=unquote(parts.path[1:]),
        port=port,
        login=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        extra_dejson=json_object(query["__extra__"], "__extra__") if "__extra__" in query else query,
    )


def _from_json(text: str) -> ConnectionFields:
    given = json_object(text, "it")
    if unknown := sorted(given.keys() - set(FIELDS)):
        raise ValueError(f"unknown key {', '.join(unknown)}; known are {', '.join(FIELDS)}")
    if wrong := [key for key in TEXT_FIELDS if not isinstance(given.get(key), (str, type(None)))]:
        raise ValueError(f"{', '.join(wrong)} is not text")
    port = str(given.get("port") or "")
    if port and not port.isdecimal():
        raise ValueError("port is not a number")
    return ConnectionFields(
        **{key: given.get(key) for key in TEXT_FIELDS},
        port=int(port) if port else None,
        extra_dejson=json_object(given.get("extra") or {}, "extra"),
    )


def json_object(value: object, what: str) -> dict[str, Any]:
    """``value`` as a mapping, or as JSON text of one."""
    try:
        value = json.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ValueError(f"{what} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{what} is not a JSON object")  # noqa: TRY004 - a wrong value, whatever its type
    return value
