"""The schema's grid is the domain's grid."""

from __future__ import annotations

import pytest

from backfill.domain.timeframes import TIMEFRAMES
from backfill.storage.database import connect

UNKNOWN = ("1M", "7m", "1H", "1W", "3d", "60", "", " 1m")
MOMENTS_MS = (
    0,
    1,
    -1,
    59_999,
    60_000,
    345_600_000,
    345_599_999,
    1_763_601_435_123,
    1_763_337_600_000,
    -1_000_000_000_001,
)


@pytest.fixture
def connection(database_uri: str):
    with connect(database_uri) as opened:
        yield opened


def test_steps_and_anchors_of_every_timeframe_agree(connection) -> None:
    rows = connection.execute(
        "SELECT name, step_ms(name), anchor_ms(name) FROM unnest(%s::text[]) AS name", (list(TIMEFRAMES),)
    ).fetchall()
    assert {name: (step_ms, anchor_ms) for name, step_ms, anchor_ms in rows} == {
        name: (bar.step_ms, bar.anchor_ms) for name, bar in TIMEFRAMES.items()
    }


def test_a_timeframe_that_is_not_in_our_table_is_not_in_the_schemas(connection) -> None:
    rows = connection.execute(
        "SELECT name FROM unnest(%s::text[]) AS name WHERE step_ms(name) IS NOT NULL", (list(UNKNOWN),)
    ).fetchall()
    assert rows == []


def test_the_nearest_places_on_the_grid_agree(connection) -> None:
    rows = connection.execute(
        "SELECT name, ms, grid_floor(ms, step_ms(name), anchor_ms(name)), "
        "grid_ceil(ms, step_ms(name), anchor_ms(name)) FROM unnest(%s::text[]) AS name, unnest(%s::bigint[]) AS ms",
        (list(TIMEFRAMES), list(MOMENTS_MS)),
    ).fetchall()
    assert len(rows) == len(TIMEFRAMES) * len(MOMENTS_MS)
    for name, ms, floor_ms, ceil_ms in rows:
        assert (name, ms, floor_ms, ceil_ms) == (name, ms, TIMEFRAMES[name].floor(ms), TIMEFRAMES[name].ceil(ms))
