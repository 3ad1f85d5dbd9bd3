from hypothesis import given
from hypothesis import strategies as st

from backfill.domain.chart_buckets import BUCKETS_MS, bucket_ms
from backfill.domain.timeframes import DAY_MS, HOUR_MS, MINUTE_MS, TIMEFRAMES

steps = st.sampled_from([one.step_ms for one in TIMEFRAMES.values()])


@given(step_ms=steps, bars=st.integers(1, 2_000_000), most=st.integers(10, 2000))
def test_a_bucket_is_made_of_whole_bars_and_the_shortest_that_does(step_ms: int, bars: int, most: int) -> None:
    chosen = bucket_ms(step_ms, bars * step_ms, most)
    assert chosen % step_ms == 0
    shorter = [one for one in BUCKETS_MS if one % step_ms == 0 and one < chosen]
    assert all(bars * step_ms > one * most for one in shorter)
    assert bars * step_ms <= chosen * most or chosen == BUCKETS_MS[-1]


def test_every_bucket_opens_on_the_grid_of_mondays() -> None:
    assert all((7 * DAY_MS) % one == 0 or one % (7 * DAY_MS) == 0 for one in BUCKETS_MS)


def test_two_years_of_minutes_become_days() -> None:
    assert bucket_ms(MINUTE_MS, 695 * DAY_MS, 800) == DAY_MS
    assert bucket_ms(HOUR_MS, 3 * HOUR_MS, 800) == HOUR_MS
