"""ValidateOperator by itself, in a run, and what the report makes of it."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from backfill.paper.limits import NO_LIMITS
from backfill.paper.venues import paper_exchange

UNIVERSE = """
instruments: [BTC-USDT, ETH-USDT]
sources: [{sources}]
timeframes:
  1m: {{since: 2025-03-02T18:00Z, until: 2025-03-03}}
validation: {validation}
"""
OTHERS = ("bybit", "okx")


@pytest.fixture
def declare_validation(db, tmp_path):
    """Write the universe with a `validation` section: two symbols, 360 minutes each."""

    def write(validation="{}", sources="blofin"):
        (tmp_path / "universe.yaml").write_text(UNIVERSE.format(sources=sources, validation=validation))

    return write


@pytest.fixture
def others(market, monkeypatch):
    """Bybit and OKX on paper, as near to Blofin as real venues of BTC are."""
    running = {name: paper_exchange(name, market, limits=NO_LIMITS, difference_bp=0.2) for name in OTHERS}
    for name, exchange in running.items():
        exchange.start()
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}_DEFAULT", f"generic://{quote(exchange.url, safe='')}")
    yield running
    for exchange in running.values():
        exchange.stop()


@pytest.fixture
def filled(declare_validation, db, context):
    """Both symbols are whole."""
    from backfill.operators.blofin_candles import BlofinCandlesOperator

    declare_validation()
    BlofinCandlesOperator(task_id="a_task", symbol="BTC-USDT,ETH-USDT").execute(context)
    return db


@pytest.fixture
def validate(filled, context):
    from backfill.operators.validate import ValidateOperator

    def run(**arguments):
        return ValidateOperator(task_id="validate", **arguments).execute(context)

    return run


@pytest.fixture
def report(db, context):
    """The report on a run whose sensor has found both symbols."""
    from backfill.operators.report import ReportOperator

    context["ti"].xcom_pull = lambda task_ids: ["BTC-USDT", "ETH-USDT"]
    return lambda: ReportOperator(task_id="report").execute(context)


@pytest.fixture
def lines_of(db, database_uri):
    """What the report on a run says of its two series, a line each."""
    from backfill.jobs.status.report_run import report_run
    from backfill.storage.candle_store import CandleStore
    from backfill.storage.database import connect

    def lines(run):
        with CandleStore(connect(database_uri)) as store:
            told = report_run(store, "candles_fill_gaps", run.run_id, ["BTC-USDT", "ETH-USDT"], 6).lines
        return [line for line in told if " 1m complete: " in line]

    return lines


def lose(db, symbol, minutes):
    db.execute(
        "DELETE FROM candles USING series, instruments AS i WHERE series_id = series.id AND instrument_id = i.id "
        "AND symbol = %s AND open_time >= '2025-03-03'::timestamptz - %s * interval '1 minute'",
        (symbol, minutes),
    )


def validations(db, *columns):
    rows = db.execute("SELECT * FROM gap_fill_runs WHERE validation IS NOT NULL ORDER BY symbol, id")
    return [tuple(row[name] for name in columns) for row in rows]


def test_it_says_of_each_series_that_it_is_well_and_leaves_a_row(validate, filled):
    reports = validate(symbol="BTC-USDT,ETH-USDT")
    assert sorted((one["symbol"], one["coverage_pct"], one["problems"]) for one in reports) == [
        ("BTC-USDT", 100.0, []),
        ("ETH-USDT", 100.0, []),
    ]
    assert validations(filled, "symbol", "status", "error") == [
        ("BTC-USDT", "complete", None),
        ("ETH-USDT", "complete", None),
    ]


def test_it_warns_and_goes_on_unless_the_universe_says_otherwise(validate, filled, report):
    lose(filled, "BTC-USDT", 30)
    reports = validate(symbol="BTC-USDT,ETH-USDT")
    (bad,) = [one for one in reports if one["problems"]]
    assert (bad["symbol"], bad["missing"]) == ("BTC-USDT", 30)
    (problem,) = bad["problems"]
    assert "30 are missing, the worst gaps 2025-03-02 23:30 to 2025-03-03 00:00 (30); run `backfill fill`" in problem
    assert validations(filled, "symbol", "status") == [("BTC-USDT", "partial"), ("ETH-USDT", "complete")]
    assert report()["missing_after"] == 30


def test_it_fails_where_the_universe_says_so_and_the_report_names_the_series(
    validate, filled, declare_validation, report
):
    from airflow.providers.common.compat.sdk import AirflowFailException

    declare_validation("{on_failure: fail}")
    lose(filled, "BTC-USDT", 30)
    with pytest.raises(AirflowFailException, match=r"^BTC-USDT 1m: 91\.67 % held, .* 30 are missing") as failed:
        validate(symbol="BTC-USDT,ETH-USDT")
    assert "ETH-USDT" not in str(failed.value)
    ((_, status, error), good) = validations(filled, "symbol", "status", "error")
    assert (status, good) == ("failed", ("ETH-USDT", "complete", None))
    assert "the worst gaps 2025-03-02 23:30" in error
    with pytest.raises(AirflowFailException, match=r"^BTC-USDT 1m failed: 91\.667 % of its bars are held"):
        report()


def test_the_universe_says_what_coverage_is_good_enough(validate, filled, declare_validation):
    lose(filled, "BTC-USDT", 30)
    declare_validation("{on_failure: fail, objective_pct: 90, max_gap_minutes: 30}")
    (told,) = validate(symbol="BTC-USDT")
    assert (told["problems"], told["objective_pct"]) == ([], 90.0)


def test_its_own_objective_and_its_own_way_to_fail_outrank_the_universe(validate, filled, declare_validation):
    from airflow.providers.common.compat.sdk import AirflowFailException

    declare_validation("{max_gap_minutes: 30}")
    lose(filled, "BTC-USDT", 30)
    (told,) = validate(symbol="BTC-USDT", objective_pct=90)
    assert (told["problems"], told["objective_pct"]) == ([], 90)
    with pytest.raises(AirflowFailException):
        validate(symbol="BTC-USDT", on_failure="fail")
    with pytest.raises(AirflowFailException):
        validate(symbol="BTC-USDT", objective_pct=92, on_failure="fail")


def test_a_way_to_fail_that_there_is_not_is_refused_at_once(airflow_home):
    from backfill.operators.validate import ValidateOperator

    with pytest.raises(ValueError, match="on_failure is 'ignore'; it must be 'warn' or 'fail'"):
        ValidateOperator(task_id="validate", on_failure="ignore")


def test_it_keeps_to_the_window_and_the_sources_it_is_given(validate, filled, declare_validation, others):
    declare_validation(sources="blofin, okx, bybit")
    lose(filled, "BTC-USDT", 30)
    (told,) = validate(
        symbol="BTC-USDT", sources="bybit", start="2025-03-02T22:00Z", end="2025-03-02T23:30:00+00:00", timeframes="1m"
    )
    assert (told["problems"], told["counts"]["compared"]) == ([], 90)
    assert others["okx"].requests.total == 0
    assert others["bybit"].requests.total > 0


def test_a_bar_that_was_spoilt_is_mended_by_the_run_that_finds_it(filled, declare_validation, others, run_dag, db):
    declare_validation("{on_failure: fail}", sources="blofin, okx, bybit")
    before = db.execute("SELECT * FROM candles ORDER BY series_id, open_time").fetchall()
    spoilt = "UPDATE candles SET high = high * 1.05, close = close * 1.05 WHERE open_time = '2025-03-02T23:10Z'"
    assert db.execute(spoilt).rowcount == 2
    lose(filled, "BTC-USDT", 1)
    run = run_dag()
    assert (run.state, run.errors) == ("success", [])
    reasons = db.execute("SELECT reason, count(*) AS n FROM revisions GROUP BY 1").fetchall()
    assert [tuple(row.values()) for row in reasons] == [("provider_correction", 1)], (
        "ETH had no gap: it was not looked at"
    )
    after = db.execute("SELECT * FROM candles ORDER BY series_id, open_time").fetchall()
    assert len([1 for one, other in zip(before, after, strict=True) if one != other]) == 1


def test_with_all_other_sources_down_a_run_says_unverified_and_nothing_fails(
    declare_validation, others, run_dag, db, lines_of
):
    declare_validation("{on_failure: fail}", sources="blofin, okx, bybit")
    for exchange in others.values():
        exchange.faults.on("geo_block")
    run = run_dag()
    assert (run.state, run.errors) == ("success", [])
    assert set(run.tasks.values()) == {"success", "skipped"}
    assert run.tasks["validate BTC-USDT"] == run.tasks["report"] == "success"
    assert all("; validated: 360 unverified" in line for line in lines_of(run))
    for status, validation in validations(db, "status", "validation"):
        assert (status, validation["unverified"]) == ("complete", 360)
        assert "compared" not in validation
    verdicts = db.execute("SELECT DISTINCT verdict, status FROM findings").fetchall()
    assert [tuple(row.values()) for row in verdicts] == [("unverified", "settled")]


def test_a_run_that_was_verified_says_so(declare_validation, others, run_dag, lines_of):
    declare_validation(sources="blofin, okx, bybit")
    run = run_dag()
    assert run.state == "success"
    assert all("; validated: 360 agreed" in line for line in lines_of(run))


def test_a_series_that_fails_its_validation_fails_the_run_and_no_other_series(
    declare_validation, others, exchange, run_dag, db
):
    declare_validation("{on_failure: fail}")
    exchange.faults.on("high_below_low", symbol="ETH-USDT", timeframe="1m", opens_ms={1740957000000})
    run = run_dag()
    assert run.state == "failed"
    assert (run.tasks["validate BTC-USDT"], run.tasks["validate ETH-USDT"]) == ("success", "failed")
    reported = str(run.errors[-1])
    assert "ETH-USDT 1m failed: " in reported
    assert "1 are missing" in reported
    assert "BTC-USDT" not in reported


def test_a_universe_that_switches_validation_off_checks_nothing_after_a_fill(declare_validation, validate, db):
    declare_validation("{enabled: false}")

    assert validate(symbol="BTC-USDT,ETH-USDT") == []
    assert validations(db, "symbol") == []
