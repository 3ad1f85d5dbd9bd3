"""The documentation's page of tables is read from the schema itself."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from backfill.storage.candle_store import CandleStore
from integration.helpers import wanted_series

SCRIPT = Path(__file__).parents[3] / "scripts" / "reference_pages.py"


def test_tables_and_views_are_described_with_every_column_and_without_the_partitions(store: CandleStore) -> None:
    wanted_series(store)
    spec = importlib.util.spec_from_file_location("reference_pages", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    page = module.tables_of(store.connection)
    sections = {text.split("`")[1]: text for text in page.split("### ")[1:]}
    assert {"ohlcv", "gaps", "sync_status", "conditions", "candles", "series", "findings"} <= set(sections)
    assert "### `gaps` (view)\n\nWhat is left to try now" in page
    assert "| `volume` | double precision | Base units (coins, never contracts)" in sections["candles"]
    assert not [name for name in sections if name.startswith("candles_2")]
