"""What a run says of itself at its end."""

from __future__ import annotations

import time

from backfill.jobs.status.report_run import report_run
from backfill.storage.candle_store import CandleStore
from integration.exchange import WHO, PaperBlofin, fill
from integration.helpers import HOUR_MS, MINUTE_MS, rows, wanted_series

SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT")


def test_minutes_that_all_symbols_lack_are_told_once_as_an_outage(store: CandleStore, exchange: PaperBlofin) -> None:
    exchange.behave(now_ms=None)
    now_ms = round(time.time() * 1000)
    hour_ago = now_ms // MINUTE_MS * MINUTE_MS - HOUR_MS
    out = range(hour_ago, hour_ago + 5 * MINUTE_MS, MINUTE_MS)
    for symbol in SYMBOLS:
        exchange.faults.on("missing", symbol=symbol, opens_ms=out)
        fill(store, exchange, wanted_series(store, symbol, history_ms=4 * HOUR_MS, now_ms=now_ms))
    exchange.faults.off()

    summary = report_run(store, WHO.dag_id, WHO.run_id, SYMBOLS, alert_after_hours=6)

    assert sum("blofin has no 1m bars of 3 of 3 series" in line for line in summary.lines) == 1
    assert summary.failures == []
    kinds = rows(store.connection, "SELECT kind, verdict, status, backfill.epoch_ms(start_time) FROM backfill.findings")
    assert kinds == [("source_outage", "outage", "settled", hour_ago)]


def test_a_run_that_lacks_nothing_looks_for_no_outage(store: CandleStore, exchange: PaperBlofin) -> None:
    for symbol in SYMBOLS:
        fill(store, exchange, wanted_series(store, symbol, history_ms=HOUR_MS))

    summary = report_run(store, WHO.dag_id, WHO.run_id, SYMBOLS, alert_after_hours=6)

    assert summary.totals["missing_after"] == 0
    assert summary.lines[0] == "BTC-USDT 1m complete: 60 inserted (blofin 60), 0 of 60 still missing, 1 request"
    assert summary.lines[-1] == "in all 3 series: 180 inserted (blofin 180), 0 still missing, 3 requests"
    assert rows(store.connection, "SELECT kind FROM backfill.findings") == []
