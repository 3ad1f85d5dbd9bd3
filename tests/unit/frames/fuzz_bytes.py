"""Guided by what of the code they reach, bytes for the clients: until stopped, or until something else than an error
of ours is raised or a row is judged wrongly.

    pip install atheris && PYTHONPATH=plugins:tests python -m unit.frames.fuzz_bytes -max_total_time=600
"""

from __future__ import annotations

import math
import sys

import atheris

with atheris.instrument_imports(include=["backfill.exchanges", "backfill.frames", "backfill.domain", "backfill.jobs"]):
    from backfill.domain.timeframes import TIMEFRAMES
    from backfill.exchanges.blofin_client import BlofinClient
    from backfill.sources.blofin_source import BlofinSource

from unit.exchanges.canned_answers import session_with
from unit.frames import hostile_payloads as hostile
from unit.frames import judged_pages as judge
from unit.frames.fuzzed_venues import FuzzedVenue

BLOFIN = hostile.Exchange()
VENUES = [FuzzedVenue(name) for name in ("okx", "bybit", "binanceusdm")]
ASKED = [
    (BLOFIN, BlofinSource(BlofinClient(session_with(BLOFIN), sleep=lambda _: None)), judge.LAYOUTS["blofin"]),
    *((venue.exchange, venue.source(), venue.layout) for venue in VENUES),
]
STATUSES = (200, 200, 200, 200, 301, 400, 403, 500)


def answer(told: bytes) -> None:
    """The first byte says who answers and with what status, the others are the body."""
    first = told[0] if told else 0
    exchange, source, layout = ASKED[first % len(ASKED)]
    exchange.says(told[1:], status=STATUSES[first // 4 % len(STATUSES)])
    with hostile.only_errors_of_ours():
        page = source.ask("BTC-USDT", TIMEFRAMES["1m"], judge.CURSOR_MS)
        now_ms = math.inf if page.server_ms is None else page.server_ms
        judge.assert_judged_rightly(page, layout, now_ms=now_ms)


if __name__ == "__main__":
    atheris.Setup(sys.argv, answer)
    atheris.Fuzz()
