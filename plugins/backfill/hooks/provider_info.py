"""What Airflow's providers manager reads before it imports this package."""

from __future__ import annotations

from typing import Any

# Read by connections.py; for Airflow 2 see hooks/airflow2_form.py.
BLOFIN_CONNECTION: dict[str, Any] = {
    "connection-type": "blofin",
    "hook-class-name": "backfill.hooks.blofin_hook.BlofinHook",
    "hook-name": "Blofin",
    "ui-field-behaviour": {
        # Candles are public: no key is needed.
        "hidden-fields": ["schema", "login", "password", "extra"],
        "relabeling": {"host": "Base URL"},
        "placeholders": {"host": "https://openapi.blofin.com"},
    },
    "conn-fields": {
        "proxies": {
            "label": "Proxies",
            "description": "One URL for all requests (http://, https://, socks5:// or socks5h://), or one for each"
            ' scheme as JSON: {"http": "...", "https": "...", "all": "..."}',
            "schema": {"type": ["string", "null"]},
        },
        "timeout_s": {
            "label": "Time-out",
            "description": "Seconds to wait for an answer before the request is tried again",
            "schema": {"type": ["number", "null"], "minimum": 1, "maximum": 300},
        },
    },
}


NAME = "Candle keeper"
OPERATORS = (
    "announce",
    "audit",
    "blofin_candles",
    "ccxt_fallback",
    "export_segments",
    "leftovers",
    "maintain",
    "primary_candles",
    "report",
    "review",
    "validate",
)


def get_provider_info() -> dict[str, Any]:
    """Entry point ``apache_airflow_provider``; see Airflow's provider_info.schema.json.

    Airflow takes the documentation's URL from the package's metadata.
    """
    return {
        "package-name": "airflow-provider-candle-keeper",
        "name": NAME,
        "description": "Keeps OHLCV candle history in Postgres complete.",
        "integrations": [
            {"integration-name": NAME, "external-doc-url": "https://docs.blofin.com/index.html", "tags": ["service"]}
        ],
        "operators": [_modules("operators", *OPERATORS)],
        "sensors": [_modules("sensors", "gap_detect", "readiness")],
        "hooks": [_modules("hooks", "blofin_hook", "candle_store_hook")],
        "triggers": [],  # a waiting sensor defers to Airflow's own TimeDeltaTrigger
        "extra-links": [
            "backfill.operators.page_links.SeriesPageLink",
            "backfill.operators.page_links.GapsPageLink",
        ],
        "notifications": ["backfill.notifications.candles.CandlesNotifier"],
        "connection-types": [BLOFIN_CONNECTION],
    }


def _modules(folder: str, *names: str) -> dict[str, Any]:
    return {"integration-name": NAME, "python-modules": [f"backfill.{folder}.{name}" for name in names]}
