"""The pages in Chromium: drawn, readable by everyone, usable, and no larger after a while."""

from __future__ import annotations

import json

import pytest

from browser.chromium import node, screenshots
from browser.made import MARKUP
from integration.helpers import NOW_MS

PAGES = [
    ("overview", "#/"),
    ("gaps", "#/gaps"),
    ("gaps-of-a-day", "#/gaps?symbol=BTC-USDT&timeframe=1m&from=2026-03-10T00:00:00Z&to=2026-03-11T00:00:00Z"),
    ("series", "#/series/BTC-USDT/1m"),
    ("series-of-a-day", "#/series/BTC-USDT/1m?from=2026-03-09T12:00:00Z&to=2026-03-10T12:00:00Z"),
    ("series-thin", "#/series/THIN-USDT/1m"),
    ("bar", "#/series/BTC-USDT/1m?bar=2026-03-10T05:00:00Z"),
    ("findings", "#/findings"),
    ("quarantine", "#/quarantine"),
    ("revisions", "#/revisions"),
    ("runs", "#/runs"),
    ("instrument-log", "#/instrument-log"),
    ("nothing", "#/runs?symbol=NO-USDT"),
    ("unknown", "#/unknown"),
]
GRAVE = ("serious", "critical")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_drawn_without_a_fault_and_axe_finds_nothing_serious(pages_url: str, theme: str) -> None:
    (seen,) = node("walk.mjs", pages_url, screenshots(), theme, NOW_MS, json.dumps(PAGES))

    assert [page["name"] for page in seen] == [name for name, _ in PAGES]
    for page in seen:
        name = page["name"]
        assert page["faults"] == [], f"{name}, where markup would ask for an image"
        assert not page["problem"], name
        assert page["wide"] <= 1280, f"{name} is wider than the window"
        assert {"color-contrast", "button-name"} <= set(page["passes"]) or name in ("nothing", "unknown"), name
        grave = [found for found in page["violations"] if found["impact"] in GRAVE]
        assert grave == [], f"{name}: {json.dumps(grave, indent=1)}"
    texts = {page["name"]: page["text"] for page in seen}
    assert MARKUP in texts["overview"]
    assert MARKUP in texts["runs"], "an error text"


def test_a_gap_is_filled_from_the_map_by_the_keyboard_and_a_chart_is_zoomed(pages_url: str) -> None:
    (done,) = node("act.mjs", pages_url, screenshots(), NOW_MS)

    assert len(done["all"]) == 6
    assert sorted(done["filtered"]) == ["ETH-USDT 1h", "ETH-USDT 1m"]
    assert "BTC-USDT 1m" in done["missing"]
    assert "symbol=BTC-USDT" in done["hash"]
    assert ("missing: 30" in done["before"], "missing: 20" in done["after"]) == (True, True), "the chart followed"
    assert done["wide"].startswith("bars of")
    assert done["close"].startswith("single bars")
    assert "A candle of okx, a stand-in for the primary source's" in done["story"]
    assert done["faults"] == []


def test_a_page_that_stays_open_does_not_grow(pages_url: str) -> None:
    """Forty refreshes are twenty minutes; benchmarks/open_pages.py prints a day's."""
    looks = node("stay_open.mjs", pages_url, 40, 2, "#/", "#/series/BTC-USDT/1m")

    for page in ("#/", "#/series/BTC-USDT/1m"):
        after_20, *_, last = [look for look in looks if look["hash"] == page and look["refreshes"]]
        assert last["refreshes"] == 40
        assert last["nodes"] <= after_20["nodes"] + 50, looks
        assert last["listeners"] <= after_20["listeners"] + 10, looks
        assert last["heap"] <= after_20["heap"] + 500_000, looks
