"""Intervals on their way into Postgres and back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from psycopg import adapters
from psycopg.adapt import Transformer
from psycopg.pq import Format

from backfill.domain.intervals import Interval, union
from backfill.storage.multiranges import intervals_in, to_intervals, to_multirange

OID = adapters.types["int8multirange"].oid
MS = st.integers(-(10**13), 10**13)


@given(st.lists(st.builds(Interval, MS, MS), max_size=6).map(union))
def test_a_set_of_intervals_survives_the_way_there_and_back(intervals):
    loader = Transformer().get_loader(OID, Format.TEXT)
    assert to_intervals(loader.load(to_multirange(intervals).encode())) == intervals
    assert intervals_in(to_multirange(intervals)) == intervals


def test_the_literal_is_half_open():
    assert to_multirange([Interval(0, 5), Interval(7, 9)]) == "{[0,5),[7,9)}"
    assert to_multirange([]) == "{}"
