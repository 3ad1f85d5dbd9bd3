"""``candles_maintain`` is wired as it is drawn, tells what it finds, and fails only when it cannot look."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

DAG_FILE = Path(__file__).parents[2] / "dags" / "candles_maintain.py"
NOON = datetime(2025, 3, 2, 12, tzinfo=timezone.utc)


@pytest.fixture
def dag(airflow_home):
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # Airflow 2
        from airflow.models.dagbag import DagBag

    return DagBag(DAG_FILE).dags["candles_maintain"]


@pytest.fixture
def run(db, dag):
    """Run the Dag to its end in this process; the states of its tasks and what they have returned."""

    def to_its_end(conf=None):
        for task in dag.tasks:
            task.retry_delay = timedelta(0)
        instances = dag.test(run_conf=conf).get_task_instances()
        states = {ti.task_id: str(ti.state) for ti in instances}
        return states, {ti.task_id: ti.xcom_pull(task_ids=ti.task_id) for ti in instances}

    return to_its_end


@pytest.fixture
def series_id(db):
    db.execute("INSERT INTO sources (name) VALUES ('blofin')")
    db.execute("INSERT INTO instruments (symbol) VALUES ('BTC-USDT')")
    sql = (
        "INSERT INTO series (instrument_id, timeframe, wanted, since, source_ids) "
        "VALUES (1, '1h', true, '2025-03-01', '{1}') RETURNING id"
    )
    return db.execute(sql).fetchone()["id"]


def insert(db, series_id, at, high=101.0):
    row = (series_id, at, 100.0, high, 99.0, 100.5, 1.0, 100.0, 1)
    db.execute("INSERT INTO candles VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)", row)


def test_it_runs_daily_one_run_at_a_time_and_never_catches_up(dag):
    assert (dag.schedule_interval if hasattr(dag, "schedule_interval") else dag.schedule) == "15 3 * * *"
    assert (dag.catchup, dag.max_active_runs) == (False, 1)


def test_it_follows_the_list_prunes_audits_and_looks_for_outages(dag):
    types = {task.task_id: task.task_type for task in dag.tasks}
    assert types == {
        "refresh_instruments": "RefreshInstrumentsOperator",
        "keep_funding": "FundingOperator",
        "prune": "PruneOperator",
        "audit": "AuditOperator",
        "validate": "ValidateOperator",
        "find_outages": "FindOutagesOperator",
    }
    assert {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks if task.upstream_task_ids} == {
        "keep_funding": ["refresh_instruments"],
        "audit": ["prune"],
        "validate": ["audit"],
        "find_outages": ["validate"],
    }


def test_what_the_audit_finds_fails_nothing_and_is_asked_for_again_and_a_repair_is_asked_for_in_the_form(
    db, series_id, run
):
    insert(db, series_id, NOON, high=1.0)
    broken = "SELECT count(*) AS n FROM candles WHERE high < low"

    states, said = run()
    assert set(states.values()) == {"success"}
    assert said["audit"]["remaining"] > 0
    assert said["find_outages"] == 0
    assert db.execute(broken).fetchone()["n"] == 0, "the primary source has given the bar again"
    still_open = [row["kind"] for row in db.execute("SELECT kind FROM findings WHERE status = 'open'")]
    assert "broken_candle" not in still_open, still_open

    db.execute("UPDATE candles SET high = 1.0 WHERE open_time = %s", (NOON,))
    states, said = run({"repair": True})
    assert (said["audit"]["remaining"], db.execute(broken).fetchone()["n"]) == (0, 0)
    assert run()[1]["audit"] == {"found": 0, "mended": 0, "remaining": 0}


def test_an_audit_that_cannot_be_done_fails(db, run):
    db.execute("DROP TABLE candles CASCADE")
    states, _ = run()
    assert states["audit"] == "failed"


def test_the_operator_audits_some_symbols_only(db, series_id, context, capfd, caplog):
    from backfill.errors import UnknownSymbol
    from backfill.operators.audit import AuditOperator

    db.execute("SET backfill.ledger = 'writer'")
    insert(db, series_id, NOON)
    found = AuditOperator(task_id="audit", symbols="BTC-USDT", repair="True").execute(context)
    assert (found["mended"], found["remaining"]) == (1, 0)
    assert "held_drift: 1 bar stored and not held; mended" in "".join(capfd.readouterr()) + caplog.text
    with pytest.raises(UnknownSymbol):
        AuditOperator(task_id="audit", symbols=["NOPE-USDT"]).execute(context)


def test_an_outage_is_told_once_for_all_symbols(db, context, capfd, caplog):
    from backfill.operators.audit import FindOutagesOperator

    db.execute("INSERT INTO sources (name) VALUES ('blofin')")
    for n in (1, 2, 3):
        db.execute("INSERT INTO instruments (symbol) VALUES (%s)", (f"COIN{n}-USDT",))
        db.execute(
            "INSERT INTO series (instrument_id, timeframe, wanted, source_ids) VALUES (%s, '1h', true, '{1}')", (n,)
        )
        now = db.execute("SELECT date_trunc('hour', now()) AS at").fetchone()["at"]
        insert(db, n, now - timedelta(hours=9))
        hole = [round((now - timedelta(hours=hours)).timestamp() * 1000) for hours in (6, 4)]
        db.execute(
            "INSERT INTO absences VALUES (%s, 1, 1, now() + interval '1 day', int8multirange(int8range(%s, %s)))",
            (n, *hole),
        )

    assert FindOutagesOperator(task_id="find_outages", lookback_hours="24").execute(context) == 1
    assert "blofin has no 1h bars of 3 of 3 series" in "".join(capfd.readouterr()) + caplog.text
    assert FindOutagesOperator(task_id="find_outages", lookback_hours=1).execute(context) == 0


def test_the_list_is_asked_for_every_day_and_its_changes_are_told(db, exchange, context, capfd, caplog):
    from backfill.operators.maintain import RefreshInstrumentsOperator

    refresh = RefreshInstrumentsOperator(task_id="refresh_instruments")
    assert refresh.execute(context)["added"] == 2
    db.execute("UPDATE instruments SET state = 'unlisted' WHERE symbol = 'BTC-USDT'")
    capfd.readouterr()
    assert refresh.execute(context) == {"changes": 1, "series": 4, "added": 0, "ended": 0}
    assert "BTC-USDT relisted" in "".join(capfd.readouterr()) + caplog.text


def test_what_is_past_its_retention_is_removed_unless_it_is_only_to_be_told(db, series_id, context, declare, tmp_path):
    from backfill.operators.maintain import PruneOperator

    (tmp_path / "universe.yaml").write_text(
        "instruments: [BTC-USDT]\ntimeframes: {1h: {history: 2d, retention: 3d}}\nlog_retention: 7d"
    )
    for days in (8, 6):
        db.execute(
            "INSERT INTO source_attempts (source_id, outcome, requests, rows, recorded_at) "
            "VALUES (1, 'candles', 1, 1, now() - make_interval(days => %s))", [days],
        )  # fmt: skip
    now = db.execute("SELECT date_trunc('hour', now()) AS at").fetchone()["at"]
    for hours in (1, 70, 75, 1000):
        insert(db, series_id, now - timedelta(hours=hours))

    planned = PruneOperator(task_id="prune", plan_only="True").execute(context)
    assert db.execute("SELECT count(*) AS n FROM candles").fetchone()["n"] == 4
    done = PruneOperator(task_id="prune").execute(context)

    assert planned["candles"] == done["candles"] == 2
    answers_left = db.execute("SELECT count(*) AS n FROM source_attempts").fetchone()["n"]
    assert planned["answers"] == done["answers"] == answers_left == 1
    left = db.execute("SELECT min(open_time) AS at FROM candles").fetchone()["at"]
    assert left == now - timedelta(hours=70)
