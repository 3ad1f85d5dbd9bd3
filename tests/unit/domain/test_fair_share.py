from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from backfill.domain.fair_share import fair_share

NEEDS = st.dictionaries(st.text(min_size=1, max_size=3), st.integers(0, 50), max_size=12)


def test_small_needs_are_met_and_the_rest_is_divided_evenly():
    assert fair_share({"BTC": 100, "ETH": 2, "SOL": 100}, 42) == {"ETH": 2, "BTC": 20, "SOL": 20}


@given(NEEDS, st.integers(-5, 400))
def test_nothing_is_wasted_nor_overspent(needs, capacity):
    shares = fair_share(needs, capacity)
    assert sum(shares.values()) == min(sum(needs.values()), max(0, capacity))
    assert all(0 <= shares[who] <= needs[who] for who in needs)


@given(NEEDS, st.integers(0, 400))
def test_whoever_goes_short_has_as_much_as_anybody_but_for_one(needs, capacity):
    shares = fair_share(needs, capacity)
    short = [shares[who] for who in needs if shares[who] < needs[who]]
    assert not short or max(shares.values()) <= min(short) + 1
