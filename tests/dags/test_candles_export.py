"""``candles_export`` writes whole days to any storage that Airflow knows."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from airflow_line import ON_AIRFLOW_2

DAG_FILE = Path(__file__).parents[2] / "dags" / "candles_export.py"
FIRST = datetime(2025, 3, 1, tzinfo=timezone.utc)


@pytest.fixture
def run(db, airflow_home):
    """Run the Dag to its end in this process: the task's state and what it returned."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # Airflow 2
        from airflow.models.dagbag import DagBag

    dag = DagBag(DAG_FILE).dags["candles_export"]

    def to_its_end(**conf):
        for task in dag.tasks:
            task.retries = 0
        (instance,) = dag.test(run_conf=conf).get_task_instances()
        return str(instance.state), instance.xcom_pull(task_ids=instance.task_id)

    return to_its_end


@pytest.fixture
def two_days(db):
    """Two whole days of hours."""
    db.execute("INSERT INTO sources (name) VALUES ('blofin')")
    db.execute("INSERT INTO instruments (symbol) VALUES ('BTC-USDT')")
    db.execute(
        "INSERT INTO series (instrument_id, timeframe, wanted, since, until, source_ids) "
        "VALUES (1, '1h', true, %s, %s, '{1}')",
        (FIRST, FIRST + timedelta(days=2)),
    )
    for hour in range(48):
        db.execute(
            "INSERT INTO candles SELECT id, %s, 1, 1, 1, 1, 1, 1, 1 FROM series", (FIRST + timedelta(hours=hour),)
        )


def paths(db):
    return [row["path"] for row in db.execute("SELECT path FROM segments ORDER BY start_time").fetchall()]


def test_whole_days_go_to_a_folder_and_are_registered_once(run, two_days, db, tmp_path):
    state, counts = run(folder=f"file://{tmp_path}")
    assert (state, counts["segments"], counts["rows"]) == ("success", 2, 48)
    assert paths(db) == sorted(str(path) for path in tmp_path.glob("*.csv"))
    assert run(folder=str(tmp_path))[1]["segments"] == 0


def test_whole_days_go_to_object_storage_too(run, two_days, db, tmp_path):
    from backfill.hooks.object_folder import folder_at

    url = f"file://{tmp_path}/segments" if ON_AIRFLOW_2 else "memory://bucket/candles"  # which has no storage in memory
    assert run(folder=url, start="2025-03-02T00:00:00Z")[1]["segments"] == 1
    folder = folder_at(url)
    assert [folder.path(name) for name in folder.names()] == paths(db)
    assert folder.read(paths(db)[0].rpartition("/")[2]).startswith(b"ts_ms,open,")


def test_a_scheme_that_no_storage_has_is_named(two_days, db):
    from backfill.errors import FolderUnusable
    from backfill.hooks.object_folder import folder_at

    with pytest.raises(FolderUnusable, match="gopher://nowhere"):
        folder_at("gopher://nowhere/candles").put("a.csv", b"")


@pytest.fixture
def lost_storage():
    """An object storage by the URL; it answers so many requests to write, and none after them."""
    from airflow.sdk.io import attach
    from fsspec.implementations.memory import MemoryFileSystem

    class Lost(MemoryFileSystem):
        store, pseudo_dirs, writes_left = {}, [""], 0

        def _open(self, path, mode="rb", **kwargs):
            if "w" in mode:
                self.writes_left -= 1
            if self.writes_left < 0:
                raise ConnectionError("Connect timeout on endpoint URL: 'http://10.0.0.9:9000/'")
            return super()._open(path, mode, **kwargs)

    storage = attach("memory", "lost", fs=Lost()).fs
    storage.store.clear()
    return storage


@pytest.mark.skipif(ON_AIRFLOW_2, reason="Airflow 2 has no storage in memory")
@pytest.mark.parametrize("writes", [0, 1])
def test_storage_out_of_reach_is_named_and_the_ledger_has_only_what_lies_there(
    run, two_days, db, lost_storage, capsys, writes
):
    url = "memory://lost@lost/candles"
    lost_storage.writes_left = writes
    state, counts = run(folder=url)
    assert (state, counts) == ("failed", None)
    assert f"{url}: Connect timeout on endpoint URL: 'http://10.0.0.9:9000/'; nothing more" in capsys.readouterr().out
    assert len(paths(db)) == writes

    lost_storage.writes_left = 10
    assert run(folder=url)[1]["segments"] == 2 - writes
    assert len(paths(db)) == len(lost_storage.find("/")) == 2


def test_without_a_folder_it_is_skipped(run, two_days, db):
    assert run()[0] == "skipped"
    assert paths(db) == []
