"""What people type into a trigger form or a command line."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.config.parameters import as_list, as_moment, check_names
from backfill.errors import ConfigurationError

NOON = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize("unset", [None, "", "  ", "None", " None ", ",", " , ", [], (), ["", "  "]])
def test_naming_nothing_is_none(unset):
    assert as_list(unset) is None


@pytest.mark.parametrize(
    "value", ["BTC-USDT,ETH-USDT", " BTC-USDT , ETH-USDT ,", ["BTC-USDT", "ETH-USDT"], (" BTC-USDT", "", "ETH-USDT ")]
)
def test_names_come_from_text_with_commas_or_from_a_list(value):
    assert as_list(value) == ["BTC-USDT", "ETH-USDT"]


@pytest.mark.parametrize("unset", [None, "", "  ", "None"])
def test_no_moment_is_none(unset):
    assert as_moment("start", unset) is None


@pytest.mark.parametrize(
    "value",
    [
        *("2026-01-31T12:00Z", "2026-01-31T12:00:00.000Z", "2026-01-31 12:00", " 2026-01-31T12:00 "),
        *("2026-01-31T12:00:00+00:00", "2026-01-31T13:30+01:30", "2026-01-31T04:00-08:00"),
        *("1769860800000", 1_769_860_800_000),
    ],
)
def test_a_moment_is_iso_8601_or_epoch_ms_and_utc_where_it_names_no_offset(value):
    at = as_moment("start", value)
    assert at == NOON
    assert at.utcoffset() == timedelta(0)


def test_a_date_is_its_first_moment():
    assert as_moment("start", "2026-01-31") == NOON.replace(hour=0)


@given(st.integers(10**11, 4 * 10**12))
def test_epoch_ms_of_any_year_since_1973_are_exact_to_the_ms(ms):
    at = as_moment("start", str(ms).zfill(12))
    assert (at - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(milliseconds=1) == ms


@pytest.mark.parametrize(
    "value",
    [
        *("yesterday", "2026-13-01", "2026-01-31T25:00", "12:00", "now-1h", "-1", "1.7e12", "nan"),
        *("2026", "20260131", "1769860800", 0),  # digits, but too few for epoch ms
        *("9" * 400, "²" * 13, "2026-01-31T12:00Zulu"),
        *("0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00"),  # no such year in UTC
    ],
)
def test_what_is_no_moment_is_an_error_that_names_the_parameter_and_the_value(value):
    with pytest.raises(ConfigurationError, match=r"^end: ") as caught:
        as_moment("end", value)
    assert repr(str(value)) in str(caught.value)


@given(st.text(max_size=30))
def test_no_text_is_a_moment_without_an_offset_or_another_error(text):
    try:
        at = as_moment("start", text)
    except ConfigurationError:
        return
    assert at is None or at.tzinfo is timezone.utc


def test_an_unknown_name_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(
        ConfigurationError, match=r"unknown parameters: 'symbol'; did you mean 'symbols'\? \(known: end, symbols\)"
    ):
        check_names({"symbol": "BTC-USDT"}, ["symbols", "end"])


def test_known_names_and_those_of_airflows_lineage_pass() -> None:
    check_names({"symbols": [], "openlineage": {}}, ["symbols", "end"])
