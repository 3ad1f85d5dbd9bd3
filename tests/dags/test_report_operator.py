"""ReportOperator by itself: it judges a run by its log."""

from __future__ import annotations

import pytest


@pytest.fixture
def report(db, context):
    """The report on a run whose sensor has found ``found``."""
    from backfill.operators.report import ReportOperator

    def run(found):
        context["ti"].xcom_pull = lambda task_ids, key=None: {"detect_gaps": found}[task_ids] if key is None else None
        return ReportOperator(task_id="report").execute(context)

    return run


@pytest.fixture
def filled(db, context):
    from backfill.operators.blofin_candles import BlofinCandlesOperator

    BlofinCandlesOperator(task_id="a_task", symbol="BTC-USDT,ETH-USDT").execute(context)


def test_it_sums_up_the_runs_attempts(filled, report):
    totals = report(["BTC-USDT", "ETH-USDT"])
    assert (totals["series"], totals["rows_inserted"], totals["missing_after"]) == (4, 816, 0)
    assert totals["sources"] == {"blofin": 816}


def test_it_counts_the_symbols_of_a_batch_one_by_one(filled, report):
    from airflow.providers.common.compat.sdk import AirflowFailException

    assert report(["BTC-USDT,ETH-USDT"])["series"] == 4
    with pytest.raises(AirflowFailException, match=r"^SOL-USDT: no attempt was logged$"):
        report(["BTC-USDT,ETH-USDT,SOL-USDT"])


def test_only_the_last_attempt_on_a_series_counts(filled, db, report, context):
    from airflow.providers.common.compat.sdk import AirflowFailException

    db.execute("UPDATE gap_fill_runs SET status = 'failed', error = 'HTTP 503' WHERE symbol = 'ETH-USDT'")
    with pytest.raises(AirflowFailException, match="ETH-USDT 1h failed: HTTP 503; ETH-USDT 1m failed: HTTP 503"):
        report(["BTC-USDT", "ETH-USDT"])

    from backfill.operators.blofin_candles import BlofinCandlesOperator

    BlofinCandlesOperator(task_id="a_task", symbol="ETH-USDT").execute(context)
    assert report(["BTC-USDT", "ETH-USDT"])["series"] == 4


def test_an_attempt_that_was_cut_off_is_a_failure(filled, db, report):
    from airflow.providers.common.compat.sdk import AirflowFailException

    db.execute("UPDATE gap_fill_runs SET status = 'running' WHERE symbol = 'BTC-USDT' AND timeframe = '1m'")
    with pytest.raises(AirflowFailException, match="BTC-USDT 1m running"):
        report(["BTC-USDT", "ETH-USDT"])


def test_attempts_of_other_runs_do_not_count(filled, db, report):
    from airflow.providers.common.compat.sdk import AirflowFailException

    db.execute("UPDATE gap_fill_runs SET run_id = 'the run before'")
    with pytest.raises(AirflowFailException, match="BTC-USDT: no attempt was logged; ETH-USDT: no attempt was logged"):
        report(["BTC-USDT", "ETH-USDT"])


def test_nothing_to_do_is_a_skip_and_no_answer_a_failure(report):
    from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

    with pytest.raises(AirflowSkipException, match="no gaps"):
        report([])
    with pytest.raises(AirflowFailException, match="detect_gaps gave no answer"):
        report(None)
