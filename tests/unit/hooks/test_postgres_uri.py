from types import SimpleNamespace

import pytest
from psycopg.conninfo import conninfo_to_dict

from backfill.hooks.postgres_uri import AirflowConnection, postgres_uri

AS_TYPED = "p:/?#%@ é"


def airflow_connection(**fields: object) -> AirflowConnection:
    blank = dict.fromkeys(("host", "port", "login", "password", "schema"))
    return SimpleNamespace(**{**blank, "extra_dejson": {}, **fields})


def test_every_part_reaches_libpq_as_it_was_typed() -> None:
    uri = postgres_uri(
        airflow_connection(host="db.example", port=5433, login="a@b", password=AS_TYPED, schema="my db/1")
    )
    assert conninfo_to_dict(uri) == {
        "host": "db.example", "port": "5433", "user": "a@b", "password": AS_TYPED, "dbname": "my db/1",
    }  # fmt: skip


@pytest.mark.parametrize("host", ["/var/run/postgresql", "::1"])
def test_socket_folders_and_ipv6_hosts_survive(host: str) -> None:
    assert conninfo_to_dict(postgres_uri(airflow_connection(host=host, schema="candles")))["host"] == host


def test_extras_of_libpq_are_kept_and_those_of_airflow_are_not() -> None:
    extras = {"sslmode": "require", "options": "-c statement_timeout=5s", "cursor": "dictcursor"}
    parsed = conninfo_to_dict(postgres_uri(airflow_connection(host="db", extra_dejson=extras)))
    assert parsed == {"host": "db", "sslmode": "require", "options": "-c statement_timeout=5s"}


def test_an_empty_connection_leaves_all_to_libpq() -> None:
    assert conninfo_to_dict(postgres_uri(airflow_connection())) == {}
