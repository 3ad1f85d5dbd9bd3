"""A page of 1440 minutes from its JSON to what COPY takes, step by step; needs no Postgres.

Milliseconds of CPU of this thread, so that other work on the machine counts little.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from typing import Any

from throw_away import spread

from backfill.domain.timeframes import MINUTE_MS, timeframe
from backfill.exchanges.http_answers import json_of
from backfill.frames.blofin_frame import blofin_frame
from backfill.sources.candle_source import sift_page
from backfill.storage.binary_copy import candle_columns, packed

ROWS, NEWEST_MS, ROUNDS, REPEATS = 1440, 1_763_601_420_000, 7, 20


def main() -> None:
    body = json.dumps({"code": "0", "msg": "success", "data": _rows()}).encode()
    rows = json_of("blofin", body, "benchmark")["data"]
    frame = blofin_frame(rows)
    minute, before_ms = timeframe("1m"), NEWEST_MS + MINUTE_MS
    sound, _, _ = sift_page(frame, minute, before_ms, before_ms)
    assert len(sound) == ROWS
    steps: dict[str, Callable[[], Any]] = {
        "JSON": lambda: json_of("blofin", body, "benchmark"),
        "rows to a frame": lambda: blofin_frame(rows),
        "structural checks": lambda: sift_page(frame, minute, before_ms, before_ms),
        "a frame to COPY": lambda: packed(candle_columns(sound, 1, 1) or [], len(sound)),
    }
    print(f"a page of {ROWS} rows, {len(body):,} bytes; ms of CPU, median of {ROUNDS} (range)")
    for name, step in steps.items():
        print(f"  {name:20}{spread([_cpu_ms(step) for _ in range(ROUNDS)], '.2f')}")


def _cpu_ms(step: Callable[[], Any]) -> float:
    began = time.thread_time()
    for _ in range(REPEATS):
        step()
    return (time.thread_time() - began) / REPEATS * 1000


def _rows() -> list[list[str]]:
    """As Blofin sends them: text, newest first."""
    dice = random.Random(1)
    rows = []
    for k in range(ROWS):
        price = dice.uniform(30_000, 31_000)
        prices = [f"{price + beside:.1f}" for beside in (0, 5, -5, 1)]
        volumes = [str(dice.randint(1, 9999)), f"{dice.uniform(0, 10):.4f}", f"{dice.uniform(0, 1e5):.4f}"]
        rows.append([str(NEWEST_MS - k * MINUTE_MS), *prices, *volumes, "1"])
    return rows


if __name__ == "__main__":
    main()
