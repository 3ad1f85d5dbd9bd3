"""ReadinessSensor by itself: when it lets others go on, and with what."""

from __future__ import annotations

import pytest

from backfill.errors import UnknownSymbol


@pytest.fixture
def sensor(db):
    from backfill.sensors.readiness import ReadinessSensor

    return lambda **arguments: ReadinessSensor(task_id="wait_for_candles", **arguments)


@pytest.fixture
def poke(sensor, context):
    def once(**arguments):
        answer = sensor(**arguments).poke(context)
        return answer.is_done, answer.xcom_value

    return once


@pytest.fixture
def fill(db, context):
    from backfill.operators.blofin_candles import BlofinCandlesOperator

    return lambda symbol: BlofinCandlesOperator(task_id="a_task", symbol=symbol).execute(context)


def delete_bar(db, symbol, timeframe, open_time):
    db.execute(
        "DELETE FROM candles AS c USING series AS s, instruments AS i WHERE s.id = c.series_id AND s.timeframe = %s"
        " AND i.id = s.instrument_id AND i.symbol = %s AND c.open_time = %s",
        [timeframe, symbol, open_time],
    )


def test_it_waits_until_every_series_is_there_and_gives_their_symbols(poke, fill):
    fill("BTC-USDT")
    assert poke() == (False, ["BTC-USDT", "ETH-USDT"])
    assert poke(symbols="BTC-USDT") == (True, ["BTC-USDT"])
    fill("ETH-USDT")
    assert poke() == (True, ["BTC-USDT", "ETH-USDT"])


@pytest.mark.parametrize(
    ("arguments", "is_done"),
    [
        ({}, False),
        ({"timeframes": ["1h"]}, True),
        ({"bars": 59}, True),
        ({"bars": "60"}, False),
        ({"bars": "None", "timeframes": "1h"}, True),
        ({"at": "2025-03-02T22:59Z", "bars": 300}, False),
        ({"at": "2025-03-02T22:59Z", "bars": 290}, True),
    ],
)
def test_only_the_bars_that_are_asked_for_need_to_be_there(arguments, is_done, poke, fill, db):
    fill("BTC-USDT,ETH-USDT")
    for symbol in ("BTC-USDT", "ETH-USDT"):
        db.execute("UPDATE series SET ready_bars = 300")
        delete_bar(db, symbol, "1m", "2025-03-02T23:00Z")
    arguments = {"timeframes": "1m", **arguments}
    assert poke(**arguments)[0] == is_done


def test_an_instrument_too_young_does_not_hold_up_the_others(poke, fill, db):
    fill("BTC-USDT,ETH-USDT")
    db.execute("UPDATE instruments SET list_time = '2025-03-01T12:00Z' WHERE symbol = 'BTC-USDT'")
    assert poke(timeframes="1h") == (False, ["BTC-USDT", "ETH-USDT"])
    assert poke(timeframes="1h", leave_out_young=True) == (True, ["ETH-USDT"])
    assert poke(timeframes="1h", leave_out_young=True, symbols="BTC-USDT") == (False, [])


def test_a_name_that_nobody_keeps_is_an_error_at_once(poke, fill):
    fill("BTC-USDT")
    with pytest.raises(UnknownSymbol):
        poke(symbols="NOPE-USDT")


def test_an_empty_store_is_waited_for(poke):
    assert poke() == (False, [])


def test_it_holds_no_worker_while_it_waits_and_ends_softly_if_told_to(sensor, context, fill):
    from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException

    assert sensor().mode == "reschedule"
    assert sensor(mode="poke").mode == "poke"
    fill("BTC-USDT")
    patient = {"symbols": "ETH-USDT", "mode": "poke", "poke_interval": 0, "timeout": 0}
    with pytest.raises(AirflowSensorTimeout):
        sensor(**patient).execute(context)
    with pytest.raises(AirflowSkipException):
        sensor(**patient, soft_fail=True).execute(context)
