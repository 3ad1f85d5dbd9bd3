"""The run's note: the plugin's listener hands the sentence of `report` over."""

from __future__ import annotations

import pytest

from airflow_line import ON_AIRFLOW_2

pytestmark = pytest.mark.skipif(ON_AIRFLOW_2, reason="Airflow 3 alone has such notes")


def test_the_scheduler_calls_us_when_a_run_ends(airflow_home):
    from airflow.listeners.listener import get_listener_manager

    from backfill.hooks import run_note

    hook = get_listener_manager().hook
    for called in (hook.on_dag_run_success, hook.on_dag_run_failed):
        assert [one for one in called.get_hookimpls() if one.plugin is run_note]


def test_a_persons_note_stays_and_one_of_ours_is_brought_up_to_date(db, run_dag):
    from airflow.models import DagRun
    from airflow.utils.session import create_session

    from backfill.hooks.run_note import write_note

    ended = run_dag({"timeframes": ["1h"], "symbols": ["BTC-USDT"]})
    assert ended.note.startswith("1 series complete as of ")
    with create_session() as session:
        run = session.query(DagRun).filter_by(run_id=ended.run_id).one()
        run.note = "of an earlier try"
        write_note(run)
        assert run.note == ended.note
        run.dag_run_note.content, run.dag_run_note.user_id = "I have looked at it", "ann"
        write_note(run)
        assert run.note == "I have looked at it"
        session.rollback()
