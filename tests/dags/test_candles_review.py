"""``candles_review``: approvals of Airflow decide on rows in quarantine and on findings."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from psycopg.types.json import Jsonb

from airflow_line import ON_AIRFLOW_2

DAG_FILE = Path(__file__).parents[2] / "dags" / "candles_review.py"
PATIENCE_S = 120


@pytest.fixture
def bag(airflow_home):
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # Airflow 2
        from airflow.models.dagbag import DagBag

    return DagBag(DAG_FILE)


@pytest.fixture
def quarantined(db):
    """One row of a wanted hour, with its high below its low."""
    db.execute("INSERT INTO sources (name) VALUES ('blofin')")
    db.execute("INSERT INTO instruments (symbol) VALUES ('BTC-USDT')")
    db.execute(
        "INSERT INTO series (instrument_id, timeframe, wanted, since, source_ids) "
        "VALUES (1, '1h', true, '2025-03-01', '{1}')"
    )
    row = ["1740830400000", "100", "98", "97", "99", "1", "1", "100", "1"]
    db.execute(
        "INSERT INTO quarantine (series_id, source_id, open_time, rule, payload) "
        "VALUES (1, 1, to_timestamp(1740830400), 'high_is_not_highest', %s)",
        [Jsonb(row)],
    )


def answer_when_asked(choice, asked):
    """As Airflow's route for an answer does: it keeps the answer, and the task goes on."""
    from airflow._shared.timezones import timezone
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import handle_event_submit
    from airflow.triggers.base import TriggerEvent
    from airflow.utils.session import create_session
    from sqlalchemy import select

    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and not asked:
        time.sleep(0.5)
        with create_session(scoped=False) as session:
            waiting = select(TaskInstance).where(TaskInstance.state == "awaiting_input")
            for ti in session.scalars(waiting).all():
                question = session.scalars(select(HITLDetail).where(HITLDetail.ti_id == ti.id)).one()
                question.responded_at = timezone.utcnow()
                question.responded_by = {"id": "1", "name": "ann"}
                question.chosen_options = [choice]
                question.params_input = {}
                handle_event_submit(TriggerEvent(question.as_resume_event_payload()), task_instance=ti, session=session)
                asked.append(question.subject)


@pytest.mark.skipif(not ON_AIRFLOW_2, reason="Airflow 3 has the Dag")
def test_airflow_2_has_no_such_dag_and_no_error(bag):
    assert (bag.dags, bag.import_errors) == ({}, {})


@pytest.mark.skipif(ON_AIRFLOW_2, reason="Airflow 2 has no approvals")
def test_the_answers_are_those_that_the_job_knows(bag):
    from backfill.domain.review_answers import OPTIONS

    asks = {task.task_id: task.options for task in bag.dags["candles_review"].tasks if task.task_id.endswith(".ask")}
    assert asks == {f"{about}.ask": options for about, options in OPTIONS.items()}


@pytest.mark.skipif(ON_AIRFLOW_2, reason="Airflow 2 has no approvals")
def test_nothing_to_decide_asks_nobody(bag, db):
    ended = bag.dags["candles_review"].test()
    states = {ti.task_id: str(ti.state) for ti in ended.get_task_instances()}
    assert (str(ended.state), states["quarantine.ask"], states["findings.decide"]) == ("success", "skipped", "skipped")


@pytest.mark.skipif(ON_AIRFLOW_2, reason="Airflow 2 has no approvals")
def test_an_approval_discards_the_row_in_the_name_of_who_answered(bag, db, quarantined):
    asked = []
    person = threading.Thread(target=answer_when_asked, args=("They are wrong", asked), daemon=True)
    person.start()
    ended = bag.dags["candles_review"].test()
    person.join()
    assert asked == ["BTC-USDT 1h: 1 row of blofin break high_is_not_highest"]
    assert str(ended.state) == "success"
    (row,) = db.execute("SELECT status, note FROM quarantine").fetchall()
    assert row == {"status": "discarded", "note": "by ann"}
