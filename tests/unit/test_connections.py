"""Where Postgres and the exchanges are, however that is said."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from backfill.config.airflow_uri import ConnectionFields
from backfill.config.connections import (
    DATABASE_VARIABLE,
    SourceConnection,
    database_connection,
    database_uri,
    source_connection,
    source_from_environment,
)
from backfill.errors import SettingsInvalid

any_letter = st.characters(exclude_characters="\x00", exclude_categories=("Cs",))
texts = st.text(st.sampled_from(":/@%#?&+= ,;[]\\'") | any_letter, min_size=1, max_size=12)


def database(text: str) -> dict[str, object]:
    """What libpq makes of AIRFLOW_CONN_CANDLES_DB."""
    return conninfo_to_dict(database_uri(environ={DATABASE_VARIABLE: text}))


def blofin(text: str, **environ: str) -> SourceConnection:
    return source_from_environment("blofin", {"AIRFLOW_CONN_BLOFIN_DEFAULT": text, **environ})


# Postgres


def test_the_argument_beats_the_variable_and_the_variable_beats_the_connection():
    environ = {"BACKFILL_DB": "postgresql://variable/x", DATABASE_VARIABLE: "postgres://connection/x"}
    assert database_uri("postgres://argument/x", environ) == "postgresql://argument/x"
    assert database_uri(None, environ) == "postgresql://variable/x"
    assert database_uri(None, {**environ, "BACKFILL_DB": ""}) == "postgresql://connection/x"


def test_no_database_at_all_says_where_to_name_one():
    with pytest.raises(SettingsInvalid, match="--db URI, or set BACKFILL_DB or AIRFLOW_CONN_CANDLES_DB"):
        database_uri(environ={})


@pytest.mark.parametrize(
    ("text", "libpq"),
    [
        ("postgresql://postgres:@/candles?host=/run/x", {"user": "postgres", "dbname": "candles", "host": "/run/x"}),
        ("postgresql://%2Frun%2FPg/candles", {"dbname": "candles", "host": "/run/Pg"}),
        ("postgresql+psycopg2://u@h/c", {"user": "u", "dbname": "c", "host": "h"}),
        ("postgres://[::1]:5433/c", {"dbname": "c", "host": "::1", "port": "5433"}),
        (
            "postgres://u:p%40%2F%3A@h/c?sslmode=require&options=-c%20search_path%3Dbackfill",
            {
                "user": "u",
                "password": "p@/:",
                "host": "h",
                "dbname": "c",
                "sslmode": "require",
                "options": "-c search_path=backfill",
            },
        ),
        (
            "postgres://h/c?__extra__=%7B%22connect_timeout%22%3A%205%2C%20%22cursor%22%3A%20%22dictcursor%22%7D",
            {"host": "h", "dbname": "c", "connect_timeout": "5"},
        ),
        (
            '{"conn_type": "postgres", "host": "h", "port": "5433", "extra": "{\\"keepalives\\": true}"}',
            {"host": "h", "port": "5433", "keepalives": "1"},
        ),
    ],
)
def test_airflows_ways_to_write_postgres_end_as_libpqs(text, libpq):
    assert database(text) == libpq


@given(login=texts, password=texts, schema=texts, folder=texts)
def test_no_character_of_a_database_connection_is_lost_as_uri_or_as_json(login, password, schema, folder):
    folder = f"/{folder}"
    said = {"user": login, "password": password, "dbname": schema, "host": folder}
    parts = [quote(part, safe="") for part in (login, password, folder, schema)]
    assert database("postgres://{}:{}@{}/{}".format(*parts)) == said
    fields = {"conn_type": "postgres", "login": login, "password": password, "schema": schema, "host": folder}
    assert database(json.dumps(fields)) == said


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("mysql://u:hunter2@h/c", "is of type mysql; the candles are in Postgres"),
        ("postgres://u:hunter2@h:x/c", "its host or port cannot be read"),
        ("postgres://u:hun/ter2@h/c", "its host or port cannot be read; percent-encode"),
        ("postgres://u:hunter2#@h/c", "'#' cannot stand in a URI"),
        ("hunter2", "neither a URI"),
        ('{"password": "hunter2"', "it is not JSON"),
        ('{"pass": "hunter2"}', "unknown key pass; known are conn_type, host"),
        ('{"password": ["hunter2"]}', "password is not text"),
        ('{"port": "hunter2"}', "port is not a number"),
        ('{"extra": "hunter2"}', "extra is not JSON"),
        ('{"extra": ["hunter2"]}', "extra is not a JSON object"),
        ('{"extra": {"sslmode": {"a": "hunter2"}}}', "extra.sslmode is neither text nor a number"),
    ],
)
def test_a_bad_database_connection_is_refused_by_name_and_without_its_secrets(text, why):
    with pytest.raises(SettingsInvalid) as caught:
        database(text)
    assert str(caught.value).splitlines()[1].startswith(f"  {DATABASE_VARIABLE}: {why}")
    assert "hunter2" not in str(caught.value)


def test_the_hook_hands_in_the_connection_that_airflow_found():
    found = ConnectionFields(conn_type="postgres", host="h", port=5432, login="u", schema="c")
    assert database_connection("candles_db", found) == "postgresql://u@h:5432/c"
    with pytest.raises(SettingsInvalid, match="candles_db: is of type http"):
        database_connection("candles_db", ConnectionFields(conn_type="http"))


# Sources


@pytest.mark.parametrize(
    ("text", "base_url"),
    [
        ("http://127.0.0.1:8900", "http://127.0.0.1:8900"),
        ("https://h", "https://h"),
        ("http://h:81/base/path", "http://h:81/base/path"),
        ("http://h/https", "https://h"),
        ("blofin://h:8443", "https://h:8443"),
        ("blofin://h/http", "http://h"),
        ("blofin://http://127.0.0.1:8900/x", "http://127.0.0.1:8900/x"),
        ("blofin://http%3A%2F%2F127.0.0.1%3A8900", "http://127.0.0.1:8900"),
        ("blofin://http%3A%2F%2F127.0.0.1%3A8900%2Fbase", "http://127.0.0.1:8900/base"),
        ("http://[::1]:8900", "http://[::1]:8900"),
        ('{"conn_type": "blofin", "host": "http://127.0.0.1", "port": 8900}', "http://127.0.0.1:8900"),
        ('{"conn_type": "blofin", "host": "http://127.0.0.1:8900", "port": 8900}', "http://127.0.0.1:8900"),
        ('{"conn_type": "http", "host": "h", "schema": "https", "port": 1}', "https://h:1"),
        ('{"host": "127.0.0.1:8900", "schema": "http"}', "http://127.0.0.1:8900"),
        ("blofin://", None),
        ("{}", None),
    ],
)
def test_airflows_ways_to_write_an_address_end_as_one_base_url(text, base_url):
    assert blofin(text) == SourceConnection(base_url=base_url)


def test_login_and_password_are_key_and_secret_and_are_not_shown():
    connection = blofin("blofin://k%2Fey:hunter%402@h:8900?timeout_s=2.5&proxies=http%3A%2F%2Fu%3Ahunter2%40p%3A1")
    assert (connection.api_key, connection.api_secret, connection.timeout_s) == ("k/ey", "hunter@2", 2.5)
    assert "hunter" not in repr(connection)
    assert "k/ey" not in repr(connection)


@pytest.mark.parametrize(
    ("proxies", "taken"),
    [
        ("http://p:3128", {"http": "http://p:3128", "https": "http://p:3128"}),
        ({"https": "socks5h://p:1080"}, {"https": "socks5h://p:1080"}),
        ('{"all": "socks5://u:x@p:1080"}', {"all": "socks5://u:x@p:1080"}),
        ("", {}),
        (None, {}),
    ],
)
def test_proxies_are_as_requests_takes_them(proxies, taken):
    connection = ConnectionFields(extra_dejson={"proxies": proxies, "options": {"defaultType": "swap"}})
    assert source_connection("okx_default", connection) == SourceConnection(
        proxies=taken, options={"defaultType": "swap"}
    )


def test_the_variable_beats_the_connections_address_and_leaves_the_rest():
    connection = blofin("https://key:secret@h", BACKFILL_BLOFIN_URL="http://127.0.0.1:8900")
    assert connection == SourceConnection("http://127.0.0.1:8900", "key", "secret")
    assert source_from_environment("blofin", {"BACKFILL_BLOFIN_URL": "http://x"}) == SourceConnection("http://x")
    assert source_from_environment("okx", {"BACKFILL_BLOFIN_URL": "http://x"}) == SourceConnection()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("127.0.0.1:8900", "neither a URI"),
        ("blofin://h:99999", "its host or port cannot be read"),
        ("blofin://:8900", "has a port or a path but no host"),
        ('{"host": "http://h:1", "port": 2}', "its host or port cannot be read"),
        ('{"host": "ftp://h"}', "not an http(s) URL"),
        ('{"host": "http://u:hunter2@h"}', "holds a user or password"),
        ("blofin://h?proxy=http%3A%2F%2Fp", "extra has an unknown key proxy; known are proxies, timeout_s, options"),
        ("blofin://h?proxies=ftp%3A%2F%2Fu%3Ahunter2%40p", "extra.proxies: not a proxy URL"),
        ('{"extra": {"proxies": {"ftp": "http://p"}}}', "extra.proxies has an unknown key ftp"),
        ('{"extra": {"proxies": ["http://p"]}}', "extra.proxies is not a JSON object"),
        ('{"extra": {"options": "hunter2"}}', "extra.options is not JSON"),
        ("blofin://h?timeout_s=0", "extra.timeout_s is not a number of seconds up to 300"),
        ("blofin://h?timeout_s=nan", "extra.timeout_s is not a number of seconds up to 300"),
        ("blofin://h?timeout_s=soon", "extra.timeout_s is not a number of seconds up to 300"),
    ],
)
def test_a_bad_source_connection_is_refused_by_name_and_without_its_secrets(text, why):
    with pytest.raises(SettingsInvalid) as caught:
        blofin(text)
    assert str(caught.value).splitlines()[1].startswith(f"  AIRFLOW_CONN_BLOFIN_DEFAULT: {why}")
    assert "hunter2" not in str(caught.value)


def test_an_unknown_source_is_named_with_the_known_ones():
    with pytest.raises(SettingsInvalid, match="unknown source 'ftx'; known are blofin, okx"):
        source_from_environment("ftx", {})
