"""What calls for a person, and when it is told again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from backfill.domain.timeframes import utc
from backfill.jobs.status.alerts import Alert, find_alerts, telling
from backfill.storage.alerts import metrics_of_dag_run
from backfill.storage.candle_store import CandleStore
from integration.exchange import WHO, PaperBlofin, fill
from integration.helpers import HOUR_MS, NOW_MS, wanted_series

DAY = timedelta(days=1)
LOW = Alert("coverage", "coverage is low: BTC-USDT 1m", ("BTC-USDT 1m",))


def texts(store: CandleStore, *kinds: str) -> list[str]:
    return [alert.text for alert in find_alerts(store, alert_after_hours=6, kinds=kinds)]


def test_a_store_without_series_gives_no_alert(store: CandleStore) -> None:
    assert find_alerts(store, alert_after_hours=6) == []


def test_a_series_below_its_objective_is_told_with_both_figures(store: CandleStore) -> None:
    wanted_series(store, history_ms=6 * HOUR_MS)
    (text,) = texts(store, "coverage")
    assert text.startswith("coverage is below the objective in 1 series: BTC-USDT 1m 0.000 % of 99.9 %, ")


def test_a_source_that_pauses_everybody_is_a_ban_and_a_short_pause_is_none(store: CandleStore) -> None:
    pause = (
        "INSERT INTO backfill.rate_budgets (source_id, limits, periods_ms, paused_until, pause_reason) "
        "VALUES (%s, '{1}', '{1}', now() + %s::interval, %s)"
    )
    store.connection.execute(pause, (store.source_id("okx"), "20 seconds", "the minute is full"))
    assert texts(store, "ban") == []
    store.connection.execute(pause, (store.source_id("blofin"), "1 hour", "HTTP 403"))
    (text,) = texts(store, "ban")
    assert text.startswith("a source has shut this address out: blofin: HTTP 403, nobody asks it until ")


def test_rows_in_quarantine_are_news_for_a_day_and_until_somebody_decides(store: CandleStore) -> None:
    window = wanted_series(store)
    add = (
        "INSERT INTO backfill.quarantine (series_id, source_id, rule, payload, status, quarantined_at) "
        "VALUES (%s, %s, 'high_is_not_highest', to_jsonb(%s::text), %s, now() - %s::interval)"
    )
    who = (window.series_id, store.source_id("blofin"))
    store.connection.execute(add, (*who, "decided", "discarded", "1 hour"))
    store.connection.execute(add, (*who, "old", "pending", "2 days"))
    assert texts(store, "quarantine") == []
    store.connection.execute(add, (*who, "new", "pending", "1 hour"))
    assert texts(store, "quarantine") == [
        "quarantine has grown by 1 rows in a day: BTC-USDT 1m from blofin: 1 rows break high_is_not_highest"
    ]


def test_all_other_sources_failing_is_told_after_the_hours_that_are_set(store: CandleStore) -> None:
    wanted_series(store, sources=("blofin", "okx"))
    store.connection.execute(
        "INSERT INTO backfill.source_health (source_id, state, last_error, first_failure_at, last_failure_at) "
        "VALUES (%s, 'open', 'HTTP 503', now() - interval '7 hours', now())",
        (store.source_id("okx"),),
    )
    assert texts(store, "outage") == ["every external source has failed for 7.0 hours: okx: HTTP 503"]
    assert find_alerts(store, alert_after_hours=8, kinds=["outage"]) == []


def test_what_was_told_is_told_again_only_after_a_while_but_a_new_series_at_once(store: CandleStore) -> None:
    with telling(store, "log", [LOW], DAY) as news:
        assert news == [LOW]
    with telling(store, "log", [LOW], DAY) as news:
        assert news == []
    wider = Alert("coverage", "coverage is low: both", ("BTC-USDT 1m", "ETH-USDT 1m"))
    with telling(store, "log", [wider], DAY) as news:
        assert news == [wider]
    with telling(store, "mail", [LOW], DAY) as news:
        assert news == [LOW], "another notifier has a memory of its own"
    with telling(store, "log", [LOW], timedelta(0)) as news:
        assert news == [LOW]


def test_what_could_not_be_sent_counts_as_not_told(store: CandleStore) -> None:
    with pytest.raises(ConnectionError), telling(store, "mail", [LOW], DAY):
        raise ConnectionError("no mail server")
    with telling(store, "mail", [LOW], DAY) as news:
        assert news == [LOW]


def test_the_figures_of_a_run_are_those_of_its_log(store: CandleStore, exchange: PaperBlofin) -> None:
    window = wanted_series(store, history_ms=2 * HOUR_MS)
    report = fill(store, exchange, window)
    figures = {
        (one.name, one.of_what): one.value for one in metrics_of_dag_run(store, WHO.dag_id, WHO.run_id, utc(NOW_MS))
    }
    assert figures["rows", "blofin"] == report.rows_inserted == 120
    assert figures["requests", "blofin"] == report.requests
    assert (figures["series", "1m"], figures["missing", "1m"], figures["coverage_pct", "1m"]) == (1, 0, 100)
    assert (figures["gaps", "1m"], figures["bans", "blofin"]) == (0, 0)
