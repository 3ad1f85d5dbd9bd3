"""CandlesNotifier on a real Dag, and the metrics of the report."""

from __future__ import annotations

import pytest

from airflow_line import ON_AIRFLOW_2

EMPTY = "coverage is below the objective in 4 series: "


@pytest.fixture
def told(db, fill_gaps_dag):
    """What a callback of ``candles_fill_gaps`` has sent."""
    from backfill.notifications.candles import CandlesNotifier

    told = []
    fill_gaps_dag.on_success_callback = CandlesNotifier(through=[lambda context: told.append(("went well", context))])
    fill_gaps_dag.on_failure_callback = CandlesNotifier(through=[lambda context: told.append(("failed", context))])
    # Airflow notes when a Dag is made whether it has callbacks.
    fill_gaps_dag.has_on_success_callback = fill_gaps_dag.has_on_failure_callback = True
    return told


def test_a_run_that_ends_whole_tells_nobody(told, run_dag):
    assert run_dag().state == "success"
    assert told == []


def test_a_failed_run_tells_what_is_missing_once(told, run_dag, unwell):
    unwell.errors_left["ETH-USDT"] = 1_000_000
    assert run_dag().state == "failed"
    ((how, context),) = told
    assert (how, context["alert_title"]) == ("failed", "Candles: coverage")
    assert context["alert"].startswith("coverage is below the objective in 2 series: ETH-USDT 1h 0.000 % of 99.9 %, 48")
    assert run_dag().state == "failed"
    assert len(told) == 1, "the same trouble is told once a day"


def test_another_notifier_renders_its_templates_with_each_alert(db, context, fill_gaps_dag):
    from airflow.providers.common.compat.sdk import BaseNotifier

    from backfill.notifications.candles import CandlesNotifier
    from backfill.operators.maintain import PruneOperator

    sent = []

    class Mail(BaseNotifier):
        template_fields = ("subject",)

        def __init__(self):
            super().__init__()
            self.subject = "{{ alert_title }}: {{ alerts.coverage }}"

        def notify(self, context):
            sent.append(self.subject)

    context["dag"] = fill_gaps_dag  # Airflow 2 renders with the Dag's settings
    PruneOperator(task_id="declares").execute(context)
    tell = CandlesNotifier(through=[Mail()], repeat_hours=0)
    tell({**context})
    db.execute("UPDATE series SET objective_pct = 0 WHERE timeframe = '1m'")
    tell({**context})
    assert sent[0].startswith(f"Candles: coverage: {EMPTY}")
    assert sent[1].startswith("Candles: coverage: coverage is below the objective in 2 series: ")


def test_an_unknown_kind_is_refused_when_the_dag_is_read(airflow_home):
    from backfill.notifications.candles import CandlesNotifier

    with pytest.raises(ValueError, match="kinds names holes; there are outage, coverage"):
        CandlesNotifier(kinds=["holes"])


class Recorder:
    """A metrics backend in memory."""

    def __init__(self, *, broken=False):
        self.broken = broken
        self.gauges = {}

    def gauge(self, stat, value, *args, tags=None, **kwargs):
        if self.broken:
            raise OSError("no route to the metrics server")
        self.gauges[stat] = (value, tags)


@pytest.fixture
def measured():
    from airflow.sdk._shared.observability.metrics import stats

    def use(recorder):
        stats.initialize(factory=lambda: recorder, export_legacy_names=False)
        return recorder

    yield use
    stats.initialize(factory=stats.NoStatsLogger, export_legacy_names=False)


@pytest.mark.skipif(ON_AIRFLOW_2, reason="sets Airflow 3's metrics backend")
def test_the_report_sends_metrics_and_a_broken_backend_fails_no_run(db, context, measured):
    from backfill.operators.blofin_candles import BlofinCandlesOperator
    from backfill.operators.report import ReportOperator

    BlofinCandlesOperator(task_id="a_task", symbol="BTC-USDT,ETH-USDT").execute(context)
    context["ti"].xcom_pull = lambda task_ids: ["BTC-USDT", "ETH-USDT"]
    gauges = measured(Recorder()).gauges
    ReportOperator(task_id="report").execute(context)
    assert gauges["candles.rows.blofin"] == (816, {"source": "blofin"})
    assert gauges["candles.coverage_pct.1m"] == (100, {"timeframe": "1m"})
    assert gauges["candles.missing.1h"][0] == gauges["candles.gaps.1h"][0] == 0
    assert 0 < gauges["candles.weight_used_pct.blofin"][0] < 100

    measured(Recorder(broken=True))
    assert ReportOperator(task_id="report").execute(context)["series"] == 4
