"""A process that fills some series from their sources, beside others on the same database.

Its argument is one JSON object: see ``main``. It says ``ready``, begins when it is sent a line, and ends with what each
series got from whom.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from backfill.config.connections import SourceConnection
from backfill.config.settings import Settings
from backfill.domain.timeframes import utc
from backfill.jobs.fill.fill_universe import fill_series
from backfill.sources.runtime import Runtime
from backfill.storage.gap_fill_log import RunIdentity
from backfill.storage.series import Selection


def main(database: str, urls: dict[str, str], key: str, symbols: list[str], now_ms: int) -> None:
    def connection_of(source: str) -> SourceConnection:
        return SourceConnection(base_url=urls[source], api_secret=key, options={"outputsize": "full"})

    with Runtime(database, Settings(), connection_of) as runtime:
        windows = runtime.store.windows(Selection(utc(now_ms), symbols=symbols))
        print("ready", flush=True)
        sys.stdin.readline()
        reports = fill_series(runtime, windows, RunIdentity("test", symbols[0], "fill"))
        print(json.dumps({report.symbol: report.sources for report in reports}), flush=True)


if __name__ == "__main__":
    options: dict[str, Any] = json.loads(sys.argv[1])
    main(**options)
