"""The hooks, given connections as Airflow reads them from its environment."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from psycopg.conninfo import conninfo_to_dict

from backfill.config.connections import SourceConnection
from backfill.errors import ConfigurationError, DatabaseUnreachable, SettingsInvalid
from backfill.storage.database import fetch_one


@pytest.fixture
def candle_store_hook(airflow_home):
    from backfill.hooks.candle_store_hook import CandleStoreHook

    return CandleStoreHook


@pytest.fixture
def blofin(airflow_home, monkeypatch):
    """What the hook makes of the connection ``blofin_default``."""
    from backfill.hooks.blofin_hook import BlofinHook

    def read(connection):
        monkeypatch.setenv("AIRFLOW_CONN_BLOFIN_DEFAULT", connection)
        return BlofinHook().get_conn()

    return read


@pytest.mark.parametrize("form", ["libpq", "host in the authority", "json", "json with the host as an extra"])
def test_every_form_of_a_connection_leads_to_the_database(form, database_uri, candle_store_hook, monkeypatch):
    parts = urlsplit(database_uri)
    (folder,) = parse_qs(parts.query)["host"]
    login = {"conn_type": "postgres", "login": parts.username, "schema": parts.path[1:]}
    forms = {
        "libpq": database_uri,
        "host in the authority": f"postgres://{parts.username}:@{quote(folder, safe='')}{parts.path}",
        "json": json.dumps({**login, "host": folder}),
        "json with the host as an extra": json.dumps({**login, "extra": {"host": folder}}),
    }
    monkeypatch.setenv("AIRFLOW_CONN_CANDLES_DB", forms[form])
    with candle_store_hook().get_conn() as store:
        assert fetch_one(store.connection, "SELECT current_database()") == (parts.path[1:],)


def test_login_port_and_options_reach_libpq_as_they_were_meant(candle_store_hook, monkeypatch):
    monkeypatch.setenv(
        "AIRFLOW_CONN_CANDLES_DB", "postgres://quant:p%40ss%2Fw%3Ard@db.example:6543/market?sslmode=require"
    )
    assert conninfo_to_dict(candle_store_hook().uri()) == {
        "user": "quant",
        "password": "p@ss/w:rd",
        "host": "db.example",
        "port": "6543",
        "dbname": "market",
        "sslmode": "require",
    }


def test_another_connection_can_be_named(database_uri, candle_store_hook, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", database_uri)
    with candle_store_hook("warehouse").get_conn() as store:
        assert not store.connection.closed


def test_a_connection_that_is_missing_is_named_with_the_remedy(candle_store_hook):
    with pytest.raises(ConfigurationError, match=r"no connection 'warehouse'.*set AIRFLOW_CONN_WAREHOUSE"):
        candle_store_hook("warehouse").get_conn()


def test_a_connection_of_another_type_is_refused(candle_store_hook, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_CANDLES_DB", "mysql://quant@db.example/market")
    with pytest.raises(SettingsInvalid, match="candles_db: is of type mysql; the candles are in Postgres"):
        candle_store_hook().get_conn()


def test_the_password_stays_out_of_errors_and_logs(candle_store_hook, monkeypatch, caplog, capfd):
    monkeypatch.setenv("AIRFLOW_CONN_CANDLES_DB", "postgresql://quant:geh31m@127.0.0.1:1/candles")
    caplog.set_level("DEBUG")
    with pytest.raises(DatabaseUnreachable) as unreachable:
        candle_store_hook().get_conn()
    printed = capfd.readouterr()
    assert "quant@127.0.0.1:1" in str(unreachable.value)
    assert "geh31m" not in str(unreachable.value) + printed.out + printed.err + caplog.text


def test_without_a_connection_blofin_is_asked_at_its_public_address(airflow_home):
    from backfill.hooks.blofin_hook import BlofinHook

    assert BlofinHook().get_conn() == SourceConnection(base_url=None)


@pytest.mark.parametrize(
    ("connection", "url"),
    [
        ("blofin://openapi.example", "https://openapi.example"),
        ("blofin://http%3A%2F%2F127.0.0.1%3A8900", "http://127.0.0.1:8900"),
        ("blofin://http://127.0.0.1:8900", "http://127.0.0.1:8900"),
        ('{"conn_type": "blofin", "host": "http://127.0.0.1", "port": 8900}', "http://127.0.0.1:8900"),
        ('{"conn_type": "http", "host": "127.0.0.1", "port": 8900}', "http://127.0.0.1:8900"),
    ],
)
def test_the_connections_host_is_the_base_url(connection, url, blofin):
    assert blofin(connection).base_url == url


def test_proxies_and_time_out_are_read_and_keys_never_shown(blofin):
    extra = {"proxies": {"https": "http://proxy.example:3128"}, "timeout_s": 3}
    connection = blofin(json.dumps({"conn_type": "blofin", "login": "k3y", "password": "s3cret", "extra": extra}))
    assert (connection.proxies, connection.timeout_s) == ({"https": "http://proxy.example:3128"}, 3)
    assert (connection.api_key, connection.api_secret) == ("k3y", "s3cret")
    assert "k3y" not in repr(connection)
    assert "s3cret" not in repr(connection)


def test_an_extra_that_nobody_reads_is_an_error(blofin):
    with pytest.raises(SettingsInvalid, match="blofin_default: extra has an unknown key proxy"):
        blofin('{"conn_type": "blofin", "extra": {"proxy": "http://proxy.example"}}')


def test_the_setting_goes_before_the_connection(db, exchange, monkeypatch):
    from backfill.hooks.runtime_hook import open_runtime

    monkeypatch.setenv("AIRFLOW_CONN_BLOFIN_DEFAULT", "blofin://http://127.0.0.1:1")
    monkeypatch.setenv("BACKFILL_BLOFIN_URL", exchange.url)
    with open_runtime("candles_db", "blofin_default") as runtime:
        markets = runtime.new_client("blofin").markets()
    assert len(markets) == 32


def test_the_button_test_of_the_connection_asks_blofin_and_says_what_is_wrong(db, exchange, monkeypatch):
    from backfill.hooks.blofin_hook import BlofinHook

    assert BlofinHook().test_connection() == (True, "Blofin answers and lists 32 instruments")
    monkeypatch.setenv("AIRFLOW_CONN_BLOFIN_DEFAULT", "blofin://http://127.0.0.1:1")
    works, why = BlofinHook().test_connection()
    assert not works
    assert why.startswith("blofin: ")
