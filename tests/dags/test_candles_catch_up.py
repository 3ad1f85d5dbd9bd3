"""``candles_catch_up``: which days and windows its runs take, what its form takes, and whole runs of it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest

from airflow_line import ON_AIRFLOW_2
from backfill.config.parameters import as_moment

CANDLES = "/api/v1/market/candles"
DAY = datetime(2025, 3, 2, tzinfo=timezone.utc)
NEXT_DAY = DAY + timedelta(days=1)
RUN_AFTER = NEXT_DAY + timedelta(hours=5)
A, B = datetime(2025, 1, 1, tzinfo=timezone.utc), datetime(2025, 1, 2, 3, 4, tzinfo=timezone.utc)

# One page of each of two series.
EVENING = {"timeframes": ["1m"], "start": "2025-03-02T18:00:00Z", "end": "2025-03-03T00:00:00Z"}


def bars(db):
    """Symbol and timeframe → first and last open time and count of what is stored."""
    rows = db.execute(
        "SELECT symbol, timeframe, min(open_time) AS first, max(open_time) AS last, count(*) AS bars "
        "FROM ohlcv GROUP BY symbol, timeframe"
    )
    return {
        (row["symbol"], row["timeframe"]): (f"{row['first']:%dT%H:%M}", f"{row['last']:%dT%H:%M}", row["bars"])
        for row in rows
    }


def test_it_runs_daily_some_runs_at_once_and_catches_up_only_when_told_to(catch_up_dag):
    assert catch_up_dag.catchup is False
    assert catch_up_dag.max_active_runs > 1


def test_its_runs_have_days_for_data_intervals(catch_up_dag):
    timetable = catch_up_dag.timetable
    try:
        from airflow.serialization.encoders import coerce_to_core_timetable
    except ImportError:  # Airflow 2 has timetables of one kind
        pass
    else:
        timetable = coerce_to_core_timetable(timetable)
    interval = timetable.infer_manual_data_interval(run_after=RUN_AFTER)
    assert (interval.start, interval.end) == (DAY, NEXT_DAY)


@pytest.mark.parametrize(
    ("form", "interval", "start", "end"),
    [
        pytest.param({}, (DAY, NEXT_DAY), DAY, NEXT_DAY, id="the run's day"),
        pytest.param({}, (None, None), DAY, NEXT_DAY, id="of a run without an interval the last full day"),
        pytest.param({"start": A, "end": B}, (DAY, NEXT_DAY), A, B, id="the form's, which goes before the day"),
        pytest.param({"start": A}, (DAY, NEXT_DAY), A, RUN_AFTER, id="from a start until the run's moment"),
        pytest.param({"end": B}, (None, None), None, B, id="from the start that is declared until an end"),
    ],
)
def test_the_window_is(form, interval, start, end, catch_up_dag):
    opens, closes = interval
    dag_run = SimpleNamespace(run_after=RUN_AFTER, data_interval_start=opens, data_interval_end=closes)
    params = {"start": None, "end": None, **{name: moment.isoformat() for name, moment in form.items()}}
    facts = {"params": params, "dag_run": dag_run, "macros": SimpleNamespace(timedelta=timedelta)}
    environment, task = catch_up_dag.get_template_env(), catch_up_dag.get_task("detect_gaps")

    assert [as_moment("it", environment.from_string(text).render(facts)) for text in (task.start, task.end)] == [
        start,
        end,
    ]


def test_on_airflow_2_a_day_that_is_not_over_is_taken_as_far_as_it_has_come(catch_up_dag):
    noon = DAY + timedelta(hours=12)
    dag_run = SimpleNamespace(start_date=noon, data_interval_start=DAY, data_interval_end=NEXT_DAY)
    template = catch_up_dag.get_template_env().from_string(catch_up_dag.get_task("detect_gaps").end)
    assert as_moment("end", template.render(params={"start": None, "end": None}, dag_run=dag_run)) == noon


def test_a_symbol_has_an_instance_of_its_own_except_on_airflow_2_whose_backfills_lose_some(catch_up_dag):
    mapped = [task for task in catch_up_dag.tasks if hasattr(task, "partial_kwargs")]
    assert len(mapped) == (0 if ON_AIRFLOW_2 else 3)
    assert catch_up_dag.get_task("detect_gaps").downstream_task_ids >= {"fill_from_blofin"}
    assert "report" in catch_up_dag.get_task("validate").downstream_task_ids


def test_all_tasks_of_a_run_are_told_the_same_window_sources_and_recheck(catch_up_dag):
    tasks = [catch_up_dag.get_task(name) for name in ("detect_gaps", "fill_from_blofin", "fill_from_fallback")]
    told = [task.partial_kwargs if hasattr(task, "partial_kwargs") else vars(task) for task in tasks]
    assert len({tuple(one[name] for name in ("timeframes", "start", "end", "sources", "recheck")) for one in told}) == 1


@pytest.mark.parametrize(
    "conf",
    [{"sources": "okx"}, {"sources": ["OKX"]}, {"dry_run": "perhaps"}, {"symbols": ["btc"]}, {"timeframes": ["7m"]}],
)
def test_the_form_refuses(conf, catch_up_dag):
    from airflow.providers.common.compat.sdk import ParamValidationError

    with pytest.raises(ParamValidationError):
        catch_up_dag.params.update(conf)


def test_a_run_fills_the_day_that_is_its_data_interval_and_nothing_beside(db, exchange, catch_up):
    run = catch_up(at=DAY)
    assert run.state == "success"
    assert bars(db) == {
        (symbol, timeframe): (first, last, count)
        for symbol in ("BTC-USDT", "ETH-USDT")
        for timeframe, first, last, count in (("1m", "01T00:00", "01T23:59", 1440), ("1h", "01T00:00", "01T23:00", 24))
    }
    asked = exchange.requests.by_route[CANDLES]

    again = catch_up(at=DAY)
    assert {again.tasks[task] for task in ("fill_from_blofin", "fill_from_fallback", "validate")} == {"skipped"}
    assert exchange.requests.by_route[CANDLES] == asked


def test_a_run_started_by_hand_keeps_to_its_form(db, catch_up):
    run = catch_up(
        {"symbols": ["ETH-USDT"], "timeframes": ["1m"], "start": "2025-03-02T19:00Z", "end": "2025-03-02T20:00Z",
         "sources": ["blofin"]}
    )  # fmt: skip
    label = "" if ON_AIRFLOW_2 else " ETH-USDT"
    assert run.tasks[f"fill_from_blofin{label}"] == "success"
    assert run.tasks["fill_from_fallback"] == "skipped"
    assert bars(db) == {("ETH-USDT", "1m"): ("02T19:00", "02T19:59", 60)}


def test_a_dry_run_prints_the_plan_and_asks_and_writes_nothing(db, exchange, catch_up, capfd, caplog):
    run = catch_up({**EVENING, "dry_run": True})
    assert run.state == "success"
    assert run.tasks["fill_from_blofin"] == run.tasks["fill_from_fallback"] == "skipped"
    printed = "".join(capfd.readouterr()) + caplog.text
    assert "BTC-USDT 1m: 360 candles are missing in 1 gaps; blofin: 1 requests" in printed
    assert "in all 720 candles are missing; 2 requests would fetch them" in printed
    assert exchange.requests.total == 0
    assert db.execute("SELECT count(*) AS runs FROM gap_fill_runs").fetchone() == {"runs": 0}


@pytest.mark.parametrize(
    ("conf", "sentence"),
    [
        ({"symbols": ["NOPE-USDT"]}, "unknown symbol 'NOPE-USDT'"),
        ({"sources": ["blofn"]}, "sources: unknown source 'blofn'; did you mean blofin?"),
        ({"sources": ["okx"]}, "sources: the universe has none of okx for what is to be filled"),
        ({"start": "2025-03-02T20:00:00Z", "end": "2025-03-02T19:00:00Z"}, "not before the end"),
    ],
    ids=["symbol", "no source", "source of no series", "upside down"],
)
def test_what_cannot_be_done_as_asked_fails_by_name_before_a_candle_is_asked_for(
    conf, sentence, db, exchange, catch_up
):
    run = catch_up({**EVENING, **conf})
    assert run.state == "failed"
    assert sentence in str(run.errors[0])
    assert exchange.requests.by_route[CANDLES] == 0


def test_with_recheck_established_no_trade_minutes_are_asked_for_again(db, exchange, catch_up):
    catch_up(EVENING)
    db.execute("DELETE FROM candles WHERE open_time BETWEEN '2025-03-02T20:00Z' AND '2025-03-02T20:09Z'")
    db.execute(
        "INSERT INTO absences (series_id, source_id, grade, confirmations, expires_at, absent) "
        "SELECT s.id, s.source_ids[1], 'reported', 2, now() + interval '1 day', int8multirange(int8range(%s, %s)) "
        "FROM series AS s",
        [round(DAY.timestamp() * 1000) + 20 * 3_600_000, round(DAY.timestamp() * 1000) + 20 * 3_600_000 + 3_600_000],
    )
    asked = exchange.requests.by_route[CANDLES]

    assert catch_up(EVENING).tasks["fill_from_blofin"] == "skipped"
    assert exchange.requests.by_route[CANDLES] == asked

    assert catch_up({**EVENING, "recheck": True}).state == "success"
    assert exchange.requests.by_route[CANDLES] == asked + 2
    assert {held for _, _, held in bars(db).values()} == {360}
