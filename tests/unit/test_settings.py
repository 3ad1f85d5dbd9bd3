"""BACKFILL_* variables: what they mean, and that none is ignored in silence."""

from __future__ import annotations

import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from backfill.config.resources import include_dir
from backfill.config.settings import Settings, load_settings
from backfill.config.source_names import SOURCES
from backfill.errors import SettingsInvalid

ROOT = Path(__file__).parents[2]


def problems(**environ: str) -> tuple[str, ...]:
    with pytest.raises(SettingsInvalid) as caught:
        load_settings({f"BACKFILL_{name}": value for name, value in environ.items()})
    return caught.value.problems


def test_nothing_set_gives_the_defaults():
    settings = load_settings({"PATH": "/bin", "backfill_batch_limit": "7", "OTHER_BACKFILL_DB": "x"})
    assert settings == Settings()
    assert settings.universe == include_dir() / "universe.yaml"
    assert (settings.batch_limit, settings.settle_s, settings.pages_in_flight) == (1440, 5.0, 4)
    assert (settings.symbols, settings.timeframes, settings.lookback_hours, settings.db) == (None, None, None, None)


def test_every_variable_is_read_in_its_own_unit():
    settings = load_settings(
        {
            "BACKFILL_UNIVERSE": "/etc/universe.yaml",
            "BACKFILL_PROFILE": "deep_history",
            "BACKFILL_SYMBOLS": " BTC-USDT, ETH-USDT,,BTC-USDT ",
            "BACKFILL_TIMEFRAMES": "1h,1m",
            "BACKFILL_LOOKBACK_HOURS": "168",
            "BACKFILL_SETTLE_S": "2.5",
            "BACKFILL_BATCH_LIMIT": "300",
            "BACKFILL_PAGES_IN_FLIGHT": "1",
            "BACKFILL_REQUEST_SLEEP_MS": "250",
            "BACKFILL_HTTP_TIMEOUT_S": "3",
            "BACKFILL_HOME": "~/candles",
            "BACKFILL_API_PORT": "8080",
            "BACKFILL_PAPER_PORT": "8900",
            "BACKFILL_BLOFIN_URL": "http://127.0.0.1:8900/",
            "BACKFILL_KUCOINFUTURES_URL": "https://kucoin.example/base",
        }
    )
    assert settings == Settings(
        universe=Path("/etc/universe.yaml"),
        profile="deep_history",
        symbols=("BTC-USDT", "ETH-USDT"),
        timeframes=("1h", "1m"),
        lookback_hours=168,
        settle_s=2.5,
        batch_limit=300,
        pages_in_flight=1,
        request_sleep_ms=250,
        http_timeout_s=3,
        home=Path.home() / "candles",
        api_port=8080,
        paper_port=8900,
        source_urls={"blofin": "http://127.0.0.1:8900", "kucoinfutures": "https://kucoin.example/base"},
    )


def test_an_empty_value_is_unset_whatever_the_name():
    assert load_settings({"BACKFILL_BATCH_LIMIT": "", "BACKFILL_DB": "  ", "BACKFILL_NONSENSE": ""}) == Settings()


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("BATCH_LIMIT", "1441", "should be less than or equal to 1440"),
        ("BATCH_LIMIT", "0", "should be greater than or equal to 1"),
        ("BATCH_LIMIT", "many", "should be a valid integer"),
        ("LOOKBACK_HOURS", "-1", "should be greater than or equal to 1"),
        ("LOOKBACK_HOURS", "1.5", "should be a valid integer"),
        ("SETTLE_S", "nan", "should be a finite number"),
        ("HTTP_TIMEOUT_S", "0", "should be greater than 0"),
        ("REQUEST_SLEEP_MS", "-5", "should be greater than or equal to 0"),
        ("API_PORT", "65536", "should be less than or equal to 65535"),
        ("SYMBOLS", ",", "names nothing"),
        ("TIMEFRAMES", "1m,1M", "unknown timeframe '1M'; known are 1m 3m"),
    ],
)
def test_a_bad_value_is_named_with_what_it_should_be(name, value, why):
    (problem,) = problems(**{name: value})
    assert problem.startswith(f"BACKFILL_{name}={value}: {why}")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("SYMBOL", "unknown setting; did you mean BACKFILL_SYMBOLS?"),
        ("SLEEP_MS", "unknown setting; did you mean BACKFILL_REQUEST_SLEEP_MS?"),
        ("QQ", "unknown setting; docs/settings.md lists the known ones"),
        ("FTX_URL", "unknown source 'ftx'; known are blofin, okx"),
        ("OKKX_URL", "unknown source 'okkx'; did you mean okx?"),
        ("SOURCE_URLS", "unknown setting"),
    ],
)
def test_a_name_that_means_nothing_is_an_error_with_a_cure(name, why):
    (problem,) = problems(**{name: "7"})
    assert problem.startswith(f"BACKFILL_{name}: {why}")


def test_all_problems_are_told_at_once():
    found = problems(BATCHLIMIT="7", BATCH_LIMIT="x", DB="mysql://h/x", OKX_URL="okx.example")
    assert sorted(line.split(":")[0] for line in found) == [
        "BACKFILL_BATCHLIMIT",
        "BACKFILL_BATCH_LIMIT=x",
        "BACKFILL_DB",
        "BACKFILL_OKX_URL",
    ]


@pytest.mark.parametrize(
    "uri",
    [
        "mysql://me:hunter2@h/candles",
        "postgresql://me:hunter2@h:99999/candles",
        "postgresql://me:hunter2@h:0/candles",
        "postgresql://me:hunter2#x@h/candles",
        "postgresql://me:hunter2@more@h/candles",
        "postgresql://me:hunter2%x@h/candles",
        "host=h password=hunter2",
    ],
)
def test_a_bad_database_address_is_refused_without_showing_the_password(uri):
    with pytest.raises(SettingsInvalid) as caught:
        load_settings({"BACKFILL_DB": uri})
    assert "BACKFILL_DB: " in str(caught.value)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("given", "uri"),
    [
        ("postgres://u:hunter2@h/x", "postgresql://u:hunter2@h/x"),
        ("postgresql+psycopg2://u:hunter2@h/x", "postgresql://u:hunter2@h/x"),
        ("postgresql://postgres:@/candles?host=/tmp/x", "postgresql://postgres:@/candles?host=/tmp/x"),
        ("postgresql://h1:5432,h2:5433/x", "postgresql://h1:5432,h2:5433/x"),
    ],
)
def test_the_database_address_is_as_libpq_takes_it_and_stays_out_of_sight(given, uri):
    settings = load_settings({"BACKFILL_DB": given})
    assert settings.db is not None
    assert settings.db.get_secret_value() == uri
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump_json()}"


@pytest.mark.parametrize(
    "url",
    [
        "openapi.blofin.com",
        "ftp://h",
        "http://",
        "http://h:x",
        "http://h:0",
        "http://h:70000",
        "http://key:hunter2@h",
        "http://h/?a=1",
        "http://h/#a",
        "http://h /x",
    ],
)
def test_a_sources_address_is_a_plain_http_url(url):
    (problem,) = problems(BLOFIN_URL=url)
    assert problem.startswith("BACKFILL_BLOFIN_URL: ")
    assert "hunter2" not in problem


def test_every_source_can_be_pointed_elsewhere():
    urls = {f"BACKFILL_{source.upper()}_URL": f"http://127.0.0.1/{source}" for source in SOURCES}
    assert load_settings(urls).source_urls == {source: f"http://127.0.0.1/{source}" for source in SOURCES}
    assert load_settings({"BACKFILL_PHEMEX_URL": "http://h"}).source_urls == {"phemex": "http://h"}


def test_settings_cannot_be_changed_after_they_are_read():
    with pytest.raises(ValueError, match="frozen"):
        load_settings({}).batch_limit = 7


def test_settings_and_universe_load_no_heavy_package_while_airflow_parses_a_dag():
    heavy = "{'pandas', 'numpy', 'ccxt', 'psycopg', 'requests', 'airflow', 'pydantic_settings'}"
    modules = "backfill.config.connections, backfill.config.universe_file"
    program = f"import sys, {modules}; print(sorted({heavy} & sys.modules.keys()))"
    loaded = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ROOT / "plugins"},
    )
    assert loaded.stdout.strip() == "[]"


def test_docs_list_every_setting():
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for field in Settings.model_fields:
        assert ("`BACKFILL_<SOURCE>_URL`" if field == "source_urls" else f"`BACKFILL_{field.upper()}`") in text
